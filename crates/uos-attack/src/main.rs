//! Tries to break out, one attack at a time.
//!
//! `uos-attack NAME [ARGUMENT]...` tries the one thing for real, with raw system calls, and prints exactly one line:
//! `did it`, the name of the error that the kernel gave, or `nothing there`. It judges nothing: what should have
//! happened is known by whoever started it. It is linked statically and knows nothing of the sandbox it attacks, so it
//! runs the same outside, where it has to succeed, and inside.
//!
//! `sweep`, `victim` and `compute` are the exceptions: the first prints a line for each system call, the second is what
//! others attack, and the third attacks nobody: it does what the runtime of a compiled language does.
#![cfg(target_os = "linux")]

mod compute;
mod files;
mod kernel;
mod names;
mod network;
mod others;
mod privileges;
mod resources;
mod sweep;
mod sys;
mod terminal;
mod victim;

use sys::Verdict;

type Attack = fn(&[String]) -> Verdict;

/// Every attack by its name, in the order of their files.
const ATTACKS: &[&[(&str, Attack)]] = &[
    files::ATTACKS,
    kernel::ATTACKS,
    network::ATTACKS,
    others::ATTACKS,
    privileges::ATTACKS,
    resources::ATTACKS,
    terminal::ATTACKS,
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = words.split_first() else {
        for (name, _) in ATTACKS.iter().copied().flatten() {
            println!("{name}");
        }
        return;
    };
    match name.as_str() {
        "sweep" => sweep::run(rest),
        "victim" => victim::run(rest),
        "compute" => compute::run(),
        name => match ATTACKS.iter().copied().flatten().find(|(known, _)| *known == name) {
            Some((_, attack)) => println!("{}", attack(rest)),
            None => {
                eprintln!("uos-attack: no attack is called {name}");
                std::process::exit(2);
            }
        },
    }
}
