//! The workloads beside the example that simulates them: whoever runs, time is conserved to the nanosecond, and the
//! same file is the same history.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../examples/simulate/machine.rs"]
#[allow(dead_code, reason = "the picture is the example's")]
mod machine;
#[path = "../examples/simulate/workload.rs"]
#[allow(dead_code, reason = "the names too")]
mod workload;

use machine::Machine;
use uos_sched::{Nanos, Policy, TaskStats};

/// What everybody had, in the order of the file.
fn simulate(file: &str, policy: Policy, until: Nanos) -> Vec<TaskStats> {
    let path = format!("{}/examples/workloads/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    let workload = workload::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let slice = workload.policy.slice();
    let workload = workload::Workload { policy: policy.with_slice(slice), ..workload };
    let until = until.min(workload.until);
    let mut machine = Machine::new(&workload, Nanos::ZERO).unwrap();
    machine.run(until).unwrap();
    let stats = machine.sched.stats();
    assert_eq!(stats.runtime, machine.busy, "{file}: what was charged is what the CPUs were busy");
    assert!(stats.runtime <= until * u64::from(workload.cpus), "{file}");
    let books: Vec<TaskStats> = (0..machine.tasks.len()).filter_map(|at| machine.books(at)).collect();
    let sum: u64 = books.iter().map(|books| books.runtime.0).sum();
    assert_eq!(sum, stats.runtime.0, "{file}: and what the tasks had");
    books
}

#[test]
fn time_is_conserved_and_history_repeats() {
    for file in ["desk", "groups", "hour"] {
        for policy in [Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF] {
            let until = Nanos::from_secs(3);
            assert_eq!(simulate(file, policy, until), simulate(file, policy, until), "{file} {policy:?}");
        }
    }
}

/// Ten thousand tasks on 64 CPUs that are never idle: there is always a batch task that would run.
#[test]
fn many_cpus_are_kept_busy() {
    let until = Nanos::from_secs(10);
    let books = simulate("hour", Policy::FAIR, until);
    assert_eq!(books.len(), 10_000);
    let all: u64 = books.iter().map(|books| books.runtime.0).sum();
    assert_eq!(all, (until * 64).0);
}
