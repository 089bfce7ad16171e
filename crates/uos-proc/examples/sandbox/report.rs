//! What is told of a program after its end, as JSON.

use serde_json::{Map, Value, json};
use uos_proc::{Child, Exit, ExitCause, Means};

pub(crate) fn json(child: &Child, exit: &Exit) -> Value {
    let enforcement = child.enforcement();
    let guarantees: Map<String, Value> = enforcement
        .iter()
        .map(|(guarantee, means)| {
            let state = match means {
                Means::Enforced { .. } => "enforced",
                Means::Weakened { .. } => "weakened",
                Means::Absent { .. } => "absent",
            };
            (guarantee.to_string(), json!({ "state": state, "reason": means.reason() }))
        })
        .collect();
    let usage = exit.usage;
    json!({
        "level": format!("{:?}", enforcement.level).to_lowercase(),
        "enforcement": guarantees,
        "exit": cause(exit.cause),
        "limits_met": { "oom_kills": exit.events.oom_kills, "pids_denials": exit.events.pids_denials },
        "usage": {
            "cpu_user_us": usage.cpu_user_us,
            "cpu_system_us": usage.cpu_system_us,
            "peak_rss_bytes": usage.peak_rss_bytes,
            "peak_memory_bytes": usage.peak_memory_bytes,
            "peak_pids": usage.peak_pids,
            "voluntary_switches": usage.voluntary_switches,
            "involuntary_switches": usage.involuntary_switches,
        },
    })
}

fn cause(cause: ExitCause) -> Value {
    let text = cause.to_string();
    match cause {
        ExitCause::Exited(code) => json!({ "cause": "exited", "code": code, "text": text }),
        ExitCause::Signaled { signal, core } => {
            json!({ "cause": "signaled", "signal": signal.to_string(), "core": core, "text": text })
        }
        ExitCause::Killed => json!({ "cause": "killed", "text": text }),
        ExitCause::TimedOut => json!({ "cause": "timed_out", "text": text }),
        ExitCause::OomKilled => json!({ "cause": "oom_killed", "text": text }),
        ExitCause::Lost => json!({ "cause": "lost", "text": text }),
    }
}
