//! The workload file: machine, groups and tasks, one a line. Text becomes types here and nowhere else.

use std::collections::HashMap;
use uos_sched::{
    Class, Cpu, CpuSet, Nanos, Policy, Priority, Quantum, Quota, Reservation, RtPriority, Weight,
};

/// What is to be simulated.
pub(crate) struct Workload {
    pub(crate) cpus: u32,
    pub(crate) policy: Policy,
    pub(crate) until: Nanos,
    pub(crate) groups: Vec<Group>,
    pub(crate) tasks: Vec<Task>,
}

pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) parent: Option<usize>,
    pub(crate) weight: Weight,
    pub(crate) quota: Option<Quota>,
}

/// Runs bursts with sleeps between them; without a sleep it never stops wanting.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) arrive: Nanos,
    pub(crate) burst: Nanos,
    pub(crate) sleep: Nanos,
    /// How many bursts until it exits; without it, none is the last.
    pub(crate) bursts: Option<u64>,
    pub(crate) weight: Weight,
    pub(crate) priority: Option<Priority>,
    pub(crate) slice: Option<Quantum>,
    pub(crate) class: Class,
    pub(crate) affinity: CpuSet,
    pub(crate) group: Option<usize>,
}

/// Reads a workload, or says which line is wrong and why.
pub(crate) fn parse(text: &str) -> Result<Workload, String> {
    let (groups, tasks) = (Vec::new(), Vec::new());
    let mut workload = Workload { cpus: 1, policy: Policy::FAIR, until: Nanos::from_secs(1), groups, tasks };
    for (line, number) in text.lines().zip(1..) {
        let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        read(&mut workload, &words).map_err(|why| format!("line {number}: {why}"))?;
    }
    match workload.tasks.is_empty() {
        true => Err("there is no task in it".into()),
        false => Ok(workload),
    }
}

fn read(workload: &mut Workload, words: &[&str]) -> Result<(), String> {
    match *words {
        [] => {}
        ["cpus", count] => workload.cpus = number(count)?,
        ["policy", name] => {
            workload.policy = Policy::named(name).ok_or_else(|| format!("there is no policy {name}"))?;
        }
        ["slice", length] => {
            let slice = Quantum::new(time(length)?).map_err(|error| error.to_string())?;
            workload.policy = workload.policy.with_slice(slice);
        }
        ["until", end] => workload.until = time(end)?,
        ["group", name, ref rest @ ..] => {
            let group = group(name, &settings(rest)?, &workload.groups)?;
            workload.groups.push(group);
        }
        ["task", name, ref rest @ ..] => {
            let settings = settings(rest)?;
            let task = task(name, &settings, &workload.groups)?;
            let count: u32 = settings.get("count").map_or(Ok(1), |count| number(count))?;
            workload.tasks.extend((0..count).map(|_| task.clone()));
        }
        [other, ..] => return Err(format!("`{other}` is none of cpus, policy, slice, until, group, task")),
    }
    Ok(())
}

fn group(name: &str, settings: &Settings, known: &[Group]) -> Result<Group, String> {
    allow(settings, &["parent", "weight", "quota"])?;
    let quota = settings.get("quota").map(|quota| {
        let (budget, period) = quota.split_once('/').ok_or("a quota is BUDGET/PERIOD")?;
        Quota::new(time(period)?, time(budget)?).map_err(|error| error.to_string())
    });
    Ok(Group {
        name: name.to_owned(),
        parent: settings.get("parent").map(|parent| find(known, parent)).transpose()?,
        weight: settings.get("weight").map_or(Ok(Weight::DEFAULT), |text| weight(text))?,
        quota: quota.transpose()?,
    })
}

fn task(name: &str, settings: &Settings, groups: &[Group]) -> Result<Task, String> {
    let known = [
        "count", "arrive", "burst", "sleep", "bursts", "weight", "priority", "slice", "class", "cpus",
        "group",
    ];
    allow(settings, &known)?;
    let when = |key: &str, otherwise: Nanos| settings.get(key).map_or(Ok(otherwise), |text| time(text));
    let priority = settings.get("priority").map(|text| number(text).map(Priority)).transpose()?;
    let otherwise = priority.map_or(Weight::DEFAULT, Priority::weight);
    let cpus = settings.get("cpus").map(|list| list.split(',').map(|cpu| number(cpu).map(Cpu)).collect());
    let slice =
        settings.get("slice").map(|text| Quantum::new(time(text)?).map_err(|error| error.to_string()));
    let burst = when("burst", Nanos(u64::MAX))?;
    if burst == Nanos::ZERO {
        return Err("a burst takes some time".into());
    }
    Ok(Task {
        name: name.to_owned(),
        arrive: when("arrive", Nanos::ZERO)?,
        burst,
        sleep: when("sleep", Nanos::ZERO)?,
        bursts: settings.get("bursts").map(|text| number(text)).transpose()?,
        weight: settings.get("weight").map_or(Ok(otherwise), |text| weight(text))?,
        priority,
        slice: slice.transpose()?,
        class: settings.get("class").map_or(Ok(Class::Normal), |text| class(text))?,
        affinity: cpus.transpose()?.unwrap_or(CpuSet::ALL),
        group: settings.get("group").map(|group| find(groups, group)).transpose()?,
    })
}

type Settings<'a> = HashMap<&'a str, &'a str>;

fn settings<'a>(words: &[&'a str]) -> Result<Settings<'a>, String> {
    let pair = |word: &&'a str| word.split_once('=').ok_or_else(|| format!("`{word}` is not KEY=VALUE"));
    words.iter().map(pair).collect()
}

fn allow(settings: &Settings, known: &[&str]) -> Result<(), String> {
    match settings.keys().find(|key| !known.contains(*key)) {
        None => Ok(()),
        Some(key) => Err(format!("`{key}` is none of {}", known.join(", "))),
    }
}

fn find(groups: &[Group], name: &str) -> Result<usize, String> {
    let at = groups.iter().position(|group| group.name == name);
    at.ok_or_else(|| format!("there is no group {name} above"))
}

fn class(text: &str) -> Result<Class, String> {
    let rt = |priority: &str| RtPriority::new(number(priority)?).map_err(|error| error.to_string());
    match text.split_once(':') {
        None if text == "idle" => Ok(Class::Idle),
        None if text == "normal" => Ok(Class::Normal),
        None if text == "batch" => Ok(Class::Batch),
        Some(("fifo", priority)) => rt(priority).map(Class::Fifo),
        Some(("rr", priority)) => rt(priority).map(Class::RoundRobin),
        Some(("deadline", times)) => {
            let times: Vec<Nanos> = times.split('/').map(time).collect::<Result<_, _>>()?;
            let [runtime, deadline, period] = times[..] else {
                return Err("a reservation is RUNTIME/DEADLINE/PERIOD".into());
            };
            Reservation::new(runtime, deadline, period)
                .map(Class::Deadline)
                .map_err(|error| error.to_string())
        }
        _ => Err(format!(
            "`{text}` is none of normal, batch, idle, fifo:N, rr:N, deadline:RUNTIME/DEADLINE/PERIOD"
        )),
    }
}

fn weight(text: &str) -> Result<Weight, String> {
    Weight::new(number(text)?).map_err(|error| error.to_string())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits"))
}

fn time(text: &str) -> Result<Nanos, String> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let digits = &text[..text.len() - unit.len()];
    let scale = match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        _ => return Err(format!("`{text}` is not a time like 10ms: us, ms, s or min")),
    };
    let length = number::<u64>(digits)?.checked_mul(scale);
    length.map(Nanos).ok_or_else(|| format!("`{text}` is too long"))
}
