//! One CPU's normal tasks once more, as vectors that are searched from end to end whenever somebody is picked.
//! Slow and plain: no heaps, no lists, no stale entries.

use std::collections::HashMap;
use uos_sched::{Nanos, Policy, TaskId};

const START: i128 = 1 << 44;

/// All groups; the first is the root.
pub(crate) struct Naive {
    pub(crate) policy: Policy,
    groups: Vec<Group>,
    homes: HashMap<TaskId, usize>,
    now: u64,
    places: i128,
}

struct Group {
    parent: usize,
    weight: u32,
    priority: u8,
    floor: i128,
    resting: i128,
    members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Task(TaskId),
    Group(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Away,
    Queued,
    Running,
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) who: Who,
    pub(crate) weight: i128,
    priority: u8,
    slice: i128,
    pub(crate) state: State,
    /// Virtual runtime; while away, under EEVDF, the lag.
    pub(crate) v: i128,
    rest: i128,
    deadline: i128,
    /// Order among equals.
    place: i128,
    since: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Expired,
    Preempted,
    Yielded,
}

#[derive(Clone, Copy)]
enum Arrival {
    New,
    Woken(i128),
    Moved(i128),
    Switched(i128),
}

impl Naive {
    pub(crate) fn new(policy: Policy) -> Naive {
        let (members, weight, priority) = (Vec::new(), 0, 0);
        let root = Group { parent: 0, weight, priority, floor: START, resting: START, members };
        Naive { policy, groups: vec![root], homes: HashMap::new(), now: 0, places: 0 }
    }

    pub(crate) fn group(&mut self, parent: usize, weight: u32, priority: u8) -> usize {
        let (members, group) = (Vec::new(), self.groups.len());
        self.groups.push(Group { parent, weight, priority, floor: START, resting: START, members });
        group
    }

    /// A group has a place in its parent, and there a lag, from when it is first needed on.
    fn found(&mut self, group: usize) {
        let Group { parent, weight, priority, .. } = self.groups[group];
        let who = Who::Group(group);
        if group != 0 && !self.groups[parent].members.iter().any(|member| member.who == who) {
            self.found(parent);
            self.join_away(parent, who, weight, priority);
        }
    }

    pub(crate) fn add(&mut self, task: TaskId, group: usize, weight: u32, priority: u8, now: u64) {
        self.now = now;
        self.found(group);
        self.homes.insert(task, group);
        self.join_away(group, Who::Task(task), weight, priority);
        self.enqueue(group, Who::Task(task), Arrival::New);
    }

    fn join_away(&mut self, group: usize, who: Who, weight: u32, priority: u8) {
        let lag = self.away(group, 0);
        let slice = i128::from(self.policy.slice().length().0);
        let (weight, since) = (i128::from(weight), self.now);
        let (v, rest, deadline, place) = (lag, 0, 0, 0);
        let state = State::Away;
        let member = Member { who, weight, priority, slice, state, v, rest, deadline, place, since };
        self.groups[group].members.push(member);
    }

    pub(crate) fn remove(&mut self, task: TaskId, now: u64) {
        self.block(task, now);
        let home = self.homes.remove(&task).unwrap();
        self.groups[home].members.retain(|member| member.who != Who::Task(task));
    }

    pub(crate) fn block(&mut self, task: TaskId, now: u64) {
        self.now = now;
        let home = self.homes[&task];
        if self.member(home, Who::Task(task)).state != State::Away {
            self.dequeue(home, Who::Task(task));
        }
    }

    pub(crate) fn wake(&mut self, task: TaskId, now: u64) {
        self.now = now;
        let home = self.homes[&task];
        if self.member(home, Who::Task(task)).state == State::Away {
            let lag = self.lag(home, Who::Task(task));
            self.enqueue(home, Who::Task(task), Arrival::Woken(lag));
        }
    }

    pub(crate) fn pick(&mut self, now: u64) -> Option<TaskId> {
        self.now = now;
        let mut group = 0;
        loop {
            let who = self.first(group)?;
            self.member(group, who).state = State::Running;
            match who {
                Who::Task(task) => return Some(task),
                Who::Group(inner) => group = inner,
            }
        }
    }

    pub(crate) fn put_back(&mut self, task: TaskId, how: Return, now: u64) {
        self.now = now;
        let mut group = self.homes[&task];
        let mut who = Who::Task(task);
        loop {
            self.member(group, who).state = State::Away;
            self.requeue(group, who, how);
            if group == 0 {
                return;
            }
            who = Who::Group(group);
            group = self.groups[group].parent;
        }
    }

    pub(crate) fn charge(&mut self, task: TaskId, ran: u64) {
        let mut group = self.homes[&task];
        let mut who = Who::Task(task);
        loop {
            self.spend(group, who, i128::from(ran));
            if group == 0 {
                return;
            }
            who = Who::Group(group);
            group = self.groups[group].parent;
        }
    }

    pub(crate) fn set_weight(&mut self, task: TaskId, weight: u32) {
        let (home, who, to) = (self.homes[&task], Who::Task(task), i128::from(weight));
        match self.policy {
            Policy::Fair { .. } => {
                self.raise_floor(home);
                let floor = self.groups[home].floor;
                let member = self.member(home, who);
                let distance = (member.v - floor).abs() * member.weight / to;
                member.v = if member.v > floor { floor + distance } else { floor - distance };
                member.weight = to;
                self.renew(home, who);
            }
            Policy::Eevdf { .. } => {
                let lag = self.lag(home, who);
                let (before, now) = (self.member(home, who).clone(), self.virtual_now(home));
                let rescaled = lag * before.weight / to;
                let member = self.member(home, who);
                if member.state == State::Away {
                    (member.v, member.weight) = (rescaled, to);
                    return;
                }
                member.state = State::Away;
                member.weight = to;
                if self.groups[home].members.iter().all(|member| member.state == State::Away) {
                    self.groups[home].resting = now;
                }
                self.place(home, who, Arrival::Moved(rescaled));
                let left = ((before.deadline - before.v) * before.weight / to).max(1);
                let member = self.member(home, who);
                member.deadline = member.v + left;
                member.state = before.state;
                self.renew(home, who);
            }
            _ => self.member(home, who).weight = to,
        }
        self.member(home, who).rest = 0;
    }

    pub(crate) fn set_priority(&mut self, task: TaskId, priority: u8) {
        let (home, who) = (self.homes[&task], Who::Task(task));
        self.member(home, who).priority = priority;
        if let Policy::Priority { .. } = self.policy {
            self.renew(home, who);
        }
    }

    pub(crate) fn set_group(&mut self, task: TaskId, group: usize, now: u64) {
        self.now = now;
        let (home, who) = (self.homes[&task], Who::Task(task));
        let since = self.member(home, who).since;
        let waits = self.member(home, who).state == State::Queued;
        if waits {
            self.dequeue(home, who);
        }
        let lag = self.lag(home, who);
        self.found(group);
        let at = self.groups[home].members.iter().position(|member| member.who == who).unwrap();
        let member = self.groups[home].members.remove(at);
        self.groups[group].members.push(member);
        self.homes.insert(task, group);
        self.member(group, who).v = self.away(group, lag);
        if waits {
            self.enqueue(group, who, Arrival::Moved(lag));
            self.member(group, who).since = since;
        }
    }

    pub(crate) fn set_policy(&mut self, policy: Policy, now: u64) {
        self.now = now;
        let mut lags = Vec::new();
        for group in 0..self.groups.len() {
            for who in self.in_order(group) {
                lags.push((group, who, self.lag(group, who)));
            }
        }
        self.policy = policy;
        for group in &mut self.groups {
            (group.floor, group.resting) = (START, START);
        }
        let slice = i128::from(policy.slice().length().0);
        for &(group, who, lag) in &lags {
            let member = self.member(group, who);
            (member.slice, member.rest) = (slice, 0);
            if member.state != State::Away {
                self.place(group, who, Arrival::Switched(lag));
                self.renew(group, who);
            }
        }
        for (group, who, lag) in lags {
            let kept = self.away(group, lag);
            let member = self.member(group, who);
            if member.state == State::Away {
                member.v = kept;
            }
        }
    }

    /// Those who can run, in one group.
    pub(crate) fn runnable(&self, group: usize) -> impl Iterator<Item = &Member> {
        self.groups[group].members.iter().filter(|member| member.state != State::Away)
    }

    fn member(&mut self, group: usize, who: Who) -> &mut Member {
        self.groups[group].members.iter_mut().find(|member| member.who == who).unwrap()
    }

    fn enqueue(&mut self, group: usize, who: Who, arrival: Arrival) {
        self.place(group, who, arrival);
        let now = self.now;
        let member = self.member(group, who);
        (member.state, member.since) = (State::Queued, now);
        self.renew(group, who);
        if group != 0 {
            let (parent, entity) = (self.groups[group].parent, Who::Group(group));
            if self.member(parent, entity).state == State::Away {
                let lag = self.lag(parent, entity);
                self.enqueue(parent, entity, Arrival::Woken(lag));
            }
        }
    }

    fn dequeue(&mut self, group: usize, who: Who) {
        self.raise_floor(group);
        let (lag, now) = (self.lag(group, who), self.virtual_now(group));
        let was_running = self.member(group, who).state == State::Running;
        self.member(group, who).state = State::Away;
        if let Policy::Eevdf { .. } = self.policy {
            self.member(group, who).v = lag;
        }
        let empty = self.groups[group].members.iter().all(|member| member.state == State::Away);
        if empty {
            self.groups[group].resting = now;
        }
        if group == 0 {
            return;
        }
        let (parent, entity) = (self.groups[group].parent, Who::Group(group));
        if empty {
            self.dequeue(parent, entity);
        } else if was_running {
            self.put_back_group(group);
        }
    }

    /// A group's running task is gone; the group, and those it is in, wait again.
    fn put_back_group(&mut self, group: usize) {
        let (mut parent, mut entity) = (self.groups[group].parent, Who::Group(group));
        loop {
            self.member(parent, entity).state = State::Away;
            self.requeue(parent, entity, Return::Preempted);
            if parent == 0 {
                return;
            }
            entity = Who::Group(parent);
            parent = self.groups[parent].parent;
        }
    }

    fn requeue(&mut self, group: usize, who: Who, how: Return) {
        if how == Return::Yielded {
            match self.policy {
                Policy::Fair { .. } => {
                    let first = self.first(group).map_or(0, |first| self.member(group, first).v);
                    let member = self.member(group, who);
                    member.v = member.v.max(first);
                }
                Policy::Eevdf { .. } => {
                    let member = self.member(group, who);
                    member.deadline += member.slice * 1024 / member.weight;
                }
                _ => {}
            }
        }
        let now = self.now;
        let member = self.member(group, who);
        (member.state, member.since) = (State::Queued, now);
        self.renew(group, who);
        if how == Return::Preempted
            && matches!(self.policy, Policy::RoundRobin { .. } | Policy::Priority { .. })
        {
            let place = -self.places;
            self.member(group, who).place = place;
        }
    }

    /// It is the last among its equals from now on.
    fn renew(&mut self, group: usize, who: Who) {
        self.places += 1;
        let place = self.places;
        self.member(group, who).place = place;
    }

    /// What is kept for one who is away with this lag.
    fn away(&mut self, group: usize, lag: i128) -> i128 {
        self.raise_floor(group);
        match self.policy {
            Policy::Fair { .. } => self.groups[group].floor - lag,
            Policy::Eevdf { .. } => lag,
            _ => 0,
        }
    }

    pub(crate) fn lag(&mut self, group: usize, who: Who) -> i128 {
        self.raise_floor(group);
        let (now, floor) = (self.virtual_now(group), self.groups[group].floor);
        let policy = self.policy;
        let member = self.member(group, who);
        match (policy, member.state) {
            (Policy::Fair { .. }, _) => floor - member.v,
            (Policy::Eevdf { .. }, State::Away) => member.v,
            (Policy::Eevdf { .. }, _) => now - member.v,
            _ => 0,
        }
    }

    fn raise_floor(&mut self, group: usize) {
        let lowest = self.runnable(group).map(|member| member.v).min();
        if let (Policy::Fair { .. }, Some(lowest)) = (self.policy, lowest) {
            self.groups[group].floor = self.groups[group].floor.max(lowest);
        }
    }

    fn sums(&self, group: usize) -> (i128, i128) {
        let members = self.runnable(group);
        members.fold((0, 0), |(weight, sum), member| (weight + member.weight, sum + member.weight * member.v))
    }

    fn virtual_now(&self, group: usize) -> i128 {
        match self.sums(group) {
            (0, _) => self.groups[group].resting,
            (weight, sum) => sum / weight,
        }
    }

    fn place(&mut self, group: usize, who: Who, arrival: Arrival) {
        if !matches!(arrival, Arrival::Switched(_)) {
            self.raise_floor(group);
        }
        let (now, floor, all) = (self.virtual_now(group), self.groups[group].floor, self.sums(group).0);
        let policy = self.policy;
        let member = self.member(group, who);
        let most = member.slice * 1024 / member.weight;
        member.rest = 0;
        match policy {
            Policy::Fair { .. } => {
                member.v = match arrival {
                    Arrival::New => floor,
                    Arrival::Woken(lag) => floor - lag.min(most),
                    Arrival::Moved(lag) => floor - lag.clamp(-most, most),
                    Arrival::Switched(lag) => START - lag.clamp(-most, most),
                };
            }
            Policy::Eevdf { .. } => {
                let most = most.max(1);
                let (lag, from) = match arrival {
                    Arrival::New => (0, now),
                    Arrival::Switched(lag) => (lag.clamp(-most, most), START),
                    Arrival::Woken(lag) | Arrival::Moved(lag) if all == 0 => (lag.clamp(-most, most), now),
                    Arrival::Woken(lag) | Arrival::Moved(lag) => {
                        (lag.clamp(-most, most) * (all + member.weight) / all, now)
                    }
                };
                member.v = from - lag;
                member.deadline = member.v + most;
            }
            _ => {}
        }
    }

    fn spend(&mut self, group: usize, who: Who, ran: i128) {
        let policy = self.policy;
        let member = self.member(group, who);
        let eevdf = matches!(policy, Policy::Eevdf { .. });
        if eevdf && member.state == State::Away {
            member.v -= ran * 1024 / member.weight;
            return;
        }
        if !matches!(policy, Policy::Fair { .. } | Policy::Eevdf { .. }) {
            return;
        }
        let whole = ran * 1024 + member.rest;
        member.v += whole / member.weight;
        member.rest = whole % member.weight;
        if eevdf && member.v >= member.deadline {
            member.deadline = member.v + (member.slice * 1024 / member.weight).max(1);
        }
        if member.state == State::Queued {
            self.renew(group, who);
        }
    }

    /// Those who wait, then those who run, then those who are away, each in the order they would run in.
    fn in_order(&self, group: usize) -> Vec<Who> {
        let mut all: Vec<&Member> = self.groups[group].members.iter().collect();
        all.sort_by_key(|member| {
            let key = match self.policy {
                Policy::RoundRobin { .. } => 0,
                Policy::Priority { .. } => -i128::from(member.priority),
                _ => member.v,
            };
            let queued = match member.state {
                State::Queued => 0,
                State::Running => 1,
                State::Away => 2,
            };
            (queued, key, member.place)
        });
        all.into_iter().map(|member| member.who).collect()
    }

    fn first(&self, group: usize) -> Option<Who> {
        let queued: Vec<&Member> =
            self.groups[group].members.iter().filter(|member| member.state == State::Queued).collect();
        let best = match self.policy {
            Policy::Priority { ageing: Some(step), .. } => {
                // The first of each level, by level and age.
                let heads = queued.iter().filter(|member| {
                    let equals = queued.iter().filter(|other| other.priority == member.priority);
                    equals.map(|other| other.place).min() == Some(member.place)
                });
                heads.copied().max_by_key(|member| {
                    let age = (self.now - member.since) / step.length().0;
                    (u64::from(member.priority) + age, member.priority)
                })
            }
            Policy::Priority { .. } => {
                queued.into_iter().min_by_key(|member| (-i128::from(member.priority), member.place))
            }
            Policy::RoundRobin { .. } => queued.into_iter().min_by_key(|member| member.place),
            Policy::Fair { .. } => queued.into_iter().min_by_key(|member| (member.v, member.place)),
            _ => {
                let (weight, sum) = self.sums(group);
                let eligible = queued.into_iter().filter(|member| member.v * weight <= sum);
                eligible.min_by_key(|member| (member.deadline, member.place))
            }
        };
        best.map(|member| member.who)
    }
}

/// One slice of CPU time, in virtual time, for this weight.
pub(crate) fn virtual_slice(slice: Nanos, weight: i128) -> i128 {
    i128::from(slice.0) * 1024 / weight
}
