//! What others attack: a process with a secret in its memory and its environment.

use std::io::Write;

use crate::sys;

/// Says where the secret lies, and goes on until it is killed.
pub(crate) fn run(args: &[String]) {
    let secret = args.first().expect("victim SECRET").clone().into_bytes();
    println!("{} {}", sys::at(&secret[..]), secret.len());
    std::io::stdout().flush().expect("the reader is there");
    std::hint::black_box(&secret);
    sys::sleep_for_ever();
}
