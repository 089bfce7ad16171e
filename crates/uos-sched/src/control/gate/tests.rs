//! What becomes of a line when orders come between an end and its being noticed.

use super::line::Line;
use super::*;
use std::process::{Child, Command, Stdio};

/// A process that uses up all it gets.
struct Busy(Child);

impl Busy {
    fn start() -> Busy {
        let shell = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Busy(shell.unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn only_who_has_ended_is_buried_if_an_order_changes_whose_turn_it_is() {
    let mut line = Line::new(Policy::ROUND_ROBIN, Cpu(0)).unwrap();
    let mut all = [Busy::start(), Busy::start()];
    let pids = [all[0].pid(), all[1].pid()];
    for pid in pids {
        line.hold(pid, Spec::default(), Wanted::default()).unwrap();
    }
    while line.running.is_none() {
        line.step(false);
    }
    let ending = line.running.unwrap();
    all.iter_mut().filter(|busy| busy.pid() == ending).for_each(Busy::end);
    // Before the line is told, an order gives the turn to the other.
    line.next();
    line.step(true);
    let living = pids.into_iter().find(|&pid| pid != ending).unwrap();
    assert!(line.used(living).is_ok(), "it is still held");
    assert!(matches!(line.used(ending), Err(ControlError::Gone { pid }) if pid == ending));
}
