//! Attacks through the terminal that a program was given as descriptor 0.

use crate::Attack;
use crate::sys::{Verdict, at, call};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Rows 21 to 23.
    ("type-into-terminal", |_| type_a_letter(libc::TIOCSTI as usize)),
    ("type-into-terminal-high-bits", |_| type_a_letter(libc::TIOCSTI as usize | 0xDEAD << 32)),
    ("paste-into-console", |_| {
        // Paste the selection.
        let request = [3u8; 8];
        call(libc::SYS_ioctl, &[0, 0x541C, at(&request)]).into()
    }),
];

fn type_a_letter(request: usize) -> Verdict {
    call(libc::SYS_ioctl, &[0, request, at(b"x")]).into()
}
