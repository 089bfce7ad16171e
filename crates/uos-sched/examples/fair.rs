//! Four tasks that never stop wanting, on one CPU, with weights 1:2:4:8. Ten simulated seconds.

use uos_sched::{Cpu, Fair, Nanos, SchedError, Scheduler, Weight, Why};

fn main() -> Result<(), SchedError> {
    let mut sched = Scheduler::new(Fair::default(), 1)?;
    let mut now = Nanos::ZERO;
    for weight in [1024, 2048, 4096, 8192] {
        sched.add(Weight::new(weight)?, now)?;
    }
    while now < Nanos::from_secs(10) {
        let pick = sched.pick(Cpu(0), now)?.expect("somebody always wants to run");
        now = now + pick.slice;
        sched.put_back(Cpu(0), now, Why::Expired)?;
    }

    let stats = sched.stats();
    println!("weight  runtime ms  entitled ms  share ‰  waits");
    for task in sched.tasks() {
        let task = sched.task(task)?;
        let share = task.runtime.0 * 1000 / stats.runtime.0;
        let (runtime, entitled) = (task.runtime.as_micros() / 1000, task.entitled.as_micros() / 1000);
        println!("{:>6}  {runtime:>10}  {entitled:>11}  {share:>7}  {:>5}", task.weight.get(), task.waits);
    }
    println!("{} switches, {} of them preemptions", stats.context_switches, stats.preemptions);
    Ok(())
}
