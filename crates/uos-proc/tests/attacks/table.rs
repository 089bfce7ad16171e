//! Every attack: what it must do outside, and what must become of it inside each level.
//!
//! The rows to 68 are numbered as in the threat model the sandbox was designed against. Numbers that are missing here are not
//! attacks by a program but trials of the spawning side; they are in `trials.rs`, `trees.rs` and other tests, and
//! listed in [`ELSEWHERE`].

use uos_proc::{Guarantee, Limits};

pub(crate) struct Row {
    pub(crate) number: &'static str,
    /// What is attempted, in a few words.
    pub(crate) what: &'static str,
    /// What is meant to hold against it.
    pub(crate) against: &'static str,
    /// The words of the attack; see `World::words`.
    pub(crate) words: &'static [&'static str],
    pub(crate) outside: Outside,
    pub(crate) minimal: &'static str,
    pub(crate) standard: &'static str,
    /// The guarantee that it tries. Where that is not enforced the row can't be held against the sandbox.
    pub(crate) tries: Guarantee,
    pub(crate) limits: Limits,
    /// Outside it begins as a user without rights.
    pub(crate) as_nobody: bool,
    /// Descriptor 0 is a terminal.
    pub(crate) on_terminal: bool,
    /// On kernels before this one it ends so at Minimal.
    pub(crate) minimal_before: Option<((u32, u32), &'static str)>,
}

/// What becomes of it outside, on a machine that lets it.
#[derive(Clone, Copy)]
pub(crate) enum Outside {
    /// It works.
    Works,
    /// It ends so; the reason why that shows that the attack is real.
    Says(&'static str, &'static str),
    /// It gets past the question whether it may, whatever this machine's kernel then says: never `EPERM`.
    IsHeard(&'static str),
    /// It may work or not, by the settings of the host that are named.
    Depends(&'static str),
    /// It works in a surrounding made for it, with this argument.
    WorksWith(&'static str, &'static str),
}

use Outside::{Depends, IsHeard, Says, Works, WorksWith};

const fn row(
    number: &'static str,
    what: &'static str,
    against: &'static str,
    words: &'static [&'static str],
) -> Row {
    Row {
        number,
        what,
        against,
        words,
        outside: Works,
        minimal: "EPERM",
        standard: "EPERM",
        tries: Guarantee::FsView,
        limits: NONE,
        as_nobody: false,
        on_terminal: false,
        minimal_before: None,
    }
}

const NONE: Limits = Limits::NONE;

impl Row {
    const fn outside(mut self, outside: Outside) -> Self {
        self.outside = outside;
        self
    }

    /// The same end at both levels.
    const fn ends(mut self, inside: &'static str) -> Self {
        self.minimal = inside;
        self.standard = inside;
        self
    }

    const fn minimal(mut self, inside: &'static str) -> Self {
        self.minimal = inside;
        self
    }

    const fn standard(mut self, inside: &'static str) -> Self {
        self.standard = inside;
        self
    }

    const fn tries(mut self, guarantee: Guarantee) -> Self {
        self.tries = guarantee;
        self
    }

    const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    const fn minimal_before(mut self, kernel: (u32, u32), inside: &'static str) -> Self {
        self.minimal_before = Some((kernel, inside));
        self
    }

    const fn begun_by_nobody(mut self) -> Self {
        self.as_nobody = true;
        self
    }

    const fn on_terminal(mut self) -> Self {
        self.on_terminal = true;
        self
    }
}

const ROOT: &str = "root of its own, the host's not in its namespace";
const CALLS: &str = "seccomp";
const NO_NET: &str = "network namespace without anything in it; seccomp on families";
const NO_RIGHTS: &str = "no capability in any set, locked; no new privileges";

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("1", "fork bomb", "process limit of a group of its own", &["fork-bomb", "300"])
        .tries(Guarantee::Pids).limits(Limits { pids: Some(20), ..NONE }).standard("EAGAIN"),
    row("2", "thread bomb", "process limit of a group of its own", &["thread-bomb", "300"])
        .tries(Guarantee::Pids).limits(Limits { pids: Some(20), ..NONE }).ends("EAGAIN"),
    row("3", "memory bomb", "memory cgroup", &["memory-bomb", "256"])
        .tries(Guarantee::Memory).limits(Limits { memory_bytes: Some(64 << 20), ..NONE }).ends("out of memory"),
    row("4", "memory hidden in a memfd", "memory cgroup", &["hide-in-memfd", "256"])
        .tries(Guarantee::Memory).limits(Limits { memory_bytes: Some(64 << 20), ..NONE }).ends("out of memory")
        // They know no memfd that can't be executed, and none of the other kind can be had.
        .minimal_before((6, 3), "EACCES"),
    row("4", "memory hidden in a shared segment", "memory cgroup", &["hide-in-shared-memory", "256"])
        .tries(Guarantee::Memory).limits(Limits { memory_bytes: Some(64 << 20), ..NONE }).standard("out of memory"),
    row("5", "memory moved out to swap", "memory and swap limited together", &["memory-bomb", "512"])
        .tries(Guarantee::Memory).limits(Limits { memory_bytes: Some(64 << 20), ..NONE }).ends("out of memory"),
    row("6", "flood of dirty pages into a granted folder", "file size limit", &["fill-disk", "{rw}", "16"])
        .limits(Limits { file_size_bytes: Some(1 << 20), ..NONE }).ends("EFBIG"),
    row("7", "spinning", "processor time limit", &["spin", "1500"])
        .limits(Limits { cpu_seconds: Some(1), ..NONE }).ends("SIGKILL"),
    row("8", "filling the disk", "private /tmp of limited size", &["fill-disk", "{scratch}", "128"])
        .limits(Limits { file_size_bytes: Some(1 << 30), ..NONE }).ends("ENOSPC"),
    row("9", "using up inodes", "private /tmp of so many files", &["fill-inodes", "{scratch}", "12000"]).ends("ENOSPC"),
    row("10", "using up descriptors", "descriptor limit", &["exhaust-descriptors", "200"])
        .tries(Guarantee::FdHygiene).limits(Limits { open_files: Some(64), ..NONE }).ends("EMFILE"),
    row("11", "using the spawner's descriptors", "close_range", &["find-descriptors"])
        .tries(Guarantee::FdHygiene).ends("nothing there"),
    row("12", "climbing out of the working directory", ROOT, &["climb-from-directory", "{canary}"]).ends("ENOENT"),
    row("13", "finding the old root", ROOT, &["find-old-root", "{canary}"]).ends("ENOENT"),
    row("14", "overwriting the program it was started from", "not its file's owner; Landlock",
        &["overwrite-own-program", "{bin}/tool"]).ends("EACCES"),
    row("15", "the root of process 1", "own processes, own /proc", &["root-of-process-1", "0", "{canary}"])
        .tries(Guarantee::Pids).outside(Depends("a container's process 1 may be out of its root's reach")).ends("ENOENT"),
    row("15", "the root of the spawner", "own processes, own /proc", &["root-of-server", "{server}", "{canary}"])
        .tries(Guarantee::Pids).ends("ENOENT"),
    row("16", "tracing a process", CALLS, &["trace", "{victim}"]).tries(Guarantee::Syscalls),
    row("17", "reading another's memory", CALLS, &["read-memory", "{victim}", "{address}", "{length}"])
        .tries(Guarantee::Syscalls),
    row("17", "opening its spawner's memory", "own processes, own /proc", &["open-memory", "{server}"])
        .tries(Guarantee::Pids).ends("ENOENT"),
    row("17", "its spawner's registers", "own processes, own /proc", &["read-registers", "{server}"])
        .tries(Guarantee::Pids).ends("ENOENT"),
    row("17", "writing another's memory", CALLS, &["write-memory", "{victim}", "{address}", "{length}"])
        .tries(Guarantee::Syscalls),
    row("18", "taking another's descriptor", CALLS, &["take-descriptor", "{victim}"]).tries(Guarantee::Syscalls),
    row("19", "killing everybody", "own processes; Landlock's signal scope", &["kill-all"])
        .outside(WorksWith("contained", "in a pid namespace made for it; else it would end the machine"))
        .tries(Guarantee::Pids).ends("ESRCH"),
    row("20", "signalling by a known number", "own processes", &["signal", "{victim}"])
        .tries(Guarantee::Pids).ends("ESRCH"),
    row("21", "typing into the spawner's terminal", CALLS, &["type-into-terminal"])
        .on_terminal().tries(Guarantee::Syscalls),
    row("22", "the same with high bits set", "seccomp on the low half", &["type-into-terminal-high-bits"])
        .on_terminal().tries(Guarantee::Syscalls),
    row("23", "pasting into the console", CALLS, &["paste-into-console"]).on_terminal().tries(Guarantee::Syscalls)
        .outside(IsHeard("a terminal of this kind has no clipboard")),
    row("24", "a set-user-ID program", "no new privileges; nosuid", &["execute-set-user-id", "{bin}/setuid"])
        .begun_by_nobody().tries(Guarantee::NoNewPrivileges).ends("nothing there"),
    row("25", "a program with file capabilities", "no new privileges; nosuid", &["execute-capable", "{bin}/capable"])
        .begun_by_nobody().tries(Guarantee::NoNewPrivileges).ends("nothing there"),
    row("26", "regaining capabilities", NO_RIGHTS, &["regain-capabilities"]).tries(Guarantee::NoNewPrivileges),
    row("26", "becoming root", NO_RIGHTS, &["become-root"]).tries(Guarantee::NoNewPrivileges),
    row("27", "mounting", CALLS, &["mount-tmpfs", "{scratch}"]).tries(Guarantee::Syscalls),
    row("27", "mounting the root once more", CALLS, &["bind-mount", "{scratch}"]).tries(Guarantee::Syscalls),
    row("27", "making a mount writable", CALLS, &["remount-writable", "{ro}/nested"]).tries(Guarantee::Syscalls),
    row("28", "writing into a read-only grant", "read-only mount", &["append-to-file", "{ro}/file"]).ends("EROFS"),
    row("28", "writing into what is mounted below it", "read-only for the whole tree", &["make-file", "{ro}/nested/file"])
        .ends("EROFS"),
    row("29", "the newer calls to mount", CALLS, &["new-mount-calls"]).tries(Guarantee::Syscalls),
    row("30", "a user namespace by unshare", CALLS, &["unshare-user"]).tries(Guarantee::Syscalls),
    row("30", "a user namespace by clone", CALLS, &["clone-user"]).tries(Guarantee::Syscalls),
    row("30", "a network namespace by clone", CALLS, &["clone-network"]).tries(Guarantee::Syscalls),
    row("30", "a user namespace by clone3", "seccomp: flags in memory can't be judged", &["clone3-user"])
        .tries(Guarantee::Syscalls).ends("ENOSYS"),
    row("30", "the same by guessing what its filter may look for", "seccomp", &["clone3-user-by-guessing"])
        .tries(Guarantee::Syscalls).ends("ENOSYS"),
    row("31", "entering its own network namespace again", CALLS, &["enter-namespace", "net", "self"])
        .tries(Guarantee::Syscalls),
    row("31", "entering another's", CALLS, &["enter-namespace", "net", "{victim}"]).tries(Guarantee::Syscalls),
    row("32", "chroot, twice", CALLS, &["chroot-twice", "{scratch}"]).tries(Guarantee::Syscalls),
    row("32", "pivot_root", CALLS, &["pivot-root", "{scratch}"]).tries(Guarantee::Syscalls)
        .outside(IsHeard("a folder is no mount point")),
    row("35", "a hard link out of a read-only grant", "a mount for each grant", &["link-out", "{ro}/file", "{rw}/linked"])
        .ends("EXDEV"),
    row("35", "renaming out of a read-only grant", "a mount for each grant", &["rename-out", "{ro}/file", "{rw}/renamed"])
        .ends("EXDEV"),
    row("36", "opening by handle", CALLS, &["open-by-handle", "{bin}/probe"]).tries(Guarantee::Syscalls),
    row("37", "making the device of memory", "Landlock; no capabilities", &["make-memory-device", "{scratch}"])
        .tries(Guarantee::Devices).ends("EPERM").standard("EACCES"),
    row("37", "making the device of a disk", "Landlock; no capabilities", &["make-disk-device", "{scratch}"])
        .tries(Guarantee::Devices).ends("EPERM").standard("EACCES"),
    row("37", "reading the host's disk", "a /dev of its own", &["read-file", "{disk}"])
        .tries(Guarantee::Devices).ends("ENOENT"),
    row("38", "changing the core pattern", "/proc of processes alone", &["open-to-write", "/proc/sys/kernel/core_pattern"])
        .ends("ENOENT"),
    row("38", "the kernel's own files", "no /sys", &["list-directory", "/sys/kernel"]).ends("ENOENT"),
    row("39", "leaving its cgroup", "no cgroup filesystem", &["open-to-write", "{procs}"]).ends("ENOENT"),
    row("39", "mounting the cgroup filesystem", CALLS, &["mount-cgroup", "{scratch}"]).tries(Guarantee::Syscalls),
    row("39", "a cgroup namespace", CALLS, &["unshare-cgroup"]).tries(Guarantee::Syscalls),
    row("40", "raising a limit", "hard limits, no capabilities", &["raise-limit"]).tries(Guarantee::NoNewPrivileges)
        .outside(Depends("a container's root may lack the right (CAP_SYS_RESOURCE)")),
    row("41", "a service on the host's loopback", NO_NET, &["connect-tcp", "{port}"])
        .tries(Guarantee::Network).standard("ENETUNREACH"),
    row("42", "a datagram to the host's loopback", NO_NET, &["send-udp", "{port}"])
        .tries(Guarantee::Network).standard("ENETUNREACH"),
    row("42", "an echo request", NO_NET, &["ping"]).tries(Guarantee::Network)
        .outside(Depends("who may is a setting of the network namespace")).standard("EACCES"),
    row("42", "a raw socket", NO_NET, &["raw-socket"]).tries(Guarantee::Network),
    row("42", "a packet socket", NO_NET, &["packet-socket"]).tries(Guarantee::Network).standard("EAFNOSUPPORT"),
    row("42", "a netlink socket", NO_NET, &["netlink-socket"]).tries(Guarantee::Network).standard("EAFNOSUPPORT"),
    row("42", "a vsock socket", NO_NET, &["vsock-socket"]).tries(Guarantee::Network).standard("EAFNOSUPPORT")
        .outside(IsHeard("the kernel may be built without it")),
    row("42", "a socket of the kernel's ciphers", NO_NET, &["alg-socket"]).tries(Guarantee::Network)
        .outside(IsHeard("the kernel may be built without it")).standard("EAFNOSUPPORT"),
    row("42", "a bluetooth socket", NO_NET, &["bluetooth-socket"]).tries(Guarantee::Network)
        .outside(IsHeard("the kernel may be built without it")).standard("EAFNOSUPPORT"),
    row("43", "an abstract socket of the host", NO_NET, &["connect-abstract", "{abstract}"])
        .tries(Guarantee::Network).standard("ECONNREFUSED"),
    row("44", "a socket in a folder that was not granted", ROOT, &["connect-local", "{sock}"])
        .tries(Guarantee::Network).standard("ENOENT"),
    row("45", "a shared segment of the host", "ipc namespace", &["shared-memory", "{key}"])
        .tries(Guarantee::Ipc).standard("ENOENT"),
    row("45", "semaphores of the host", "ipc namespace", &["semaphores", "{key}"])
        .tries(Guarantee::Ipc).standard("ENOENT"),
    row("45", "a message queue of the host", "ipc namespace", &["message-queue", "{queue}"])
        .tries(Guarantee::Ipc).standard("ENOENT"),
    row("46", "keys", CALLS, &["keys"]).tries(Guarantee::Syscalls),
    row("47", "io_uring", CALLS, &["io-uring"]).tries(Guarantee::Syscalls),
    row("48", "bpf", CALLS, &["bpf"]).tries(Guarantee::Syscalls),
    row("48", "performance events", CALLS, &["perf-events"]).tries(Guarantee::Syscalls),
    row("48", "page faults in user space", CALLS, &["userfaultfd"]).tries(Guarantee::Syscalls),
    row("49", "a call under its x32 number", "seccomp's first instructions", &["x32-call"])
        .tries(Guarantee::Syscalls).outside(IsHeard("the kernel may be built without it")).ends("ENOSYS"),
    row("49", "a call through the 32-bit gate", "seccomp's first instructions", &["i386-call"])
        .tries(Guarantee::Syscalls).outside(IsHeard("the kernel may be built without it")).ends("SIGSYS"),
    row("50", "another kernel", CALLS, &["load-kernel"]).tries(Guarantee::Syscalls).outside(IsHeard("too many segments")),
    row("50", "a module", CALLS, &["load-module"]).tries(Guarantee::Syscalls).outside(IsHeard("an empty module")),
    row("50", "a module from a file", CALLS, &["load-module-file"]).tries(Guarantee::Syscalls)
        .outside(IsHeard("no such descriptor")),
    row("50", "removing a module", CALLS, &["remove-module"]).tries(Guarantee::Syscalls).outside(IsHeard("no such module")),
    row("50", "a reboot", CALLS, &["reboot"]).tries(Guarantee::Syscalls).outside(IsHeard("wrong magic numbers")),
    row("50", "swap", CALLS, &["swap-on"]).tries(Guarantee::Syscalls).outside(IsHeard("no such file")),
    row("50", "the clock", CALLS, &["set-clock"]).tries(Guarantee::Syscalls).outside(IsHeard("no such time")),
    row("50", "the time of day", CALLS, &["set-time-of-day"]).tries(Guarantee::Syscalls).outside(IsHeard("no such time")),
    row("50", "the clock's speed", CALLS, &["adjust-clock"]).tries(Guarantee::Syscalls).outside(IsHeard("no such speed")),
    row("50", "accounting", CALLS, &["account"]).tries(Guarantee::Syscalls).outside(IsHeard("no such file")),
    row("50", "quotas", CALLS, &["quotas"]).tries(Guarantee::Syscalls).outside(IsHeard("no such device")),
    row("50", "the kernel's log", CALLS, &["read-kernel-log"]).tries(Guarantee::Syscalls),
    row("50", "input and output ports", CALLS, &["io-ports"]).tries(Guarantee::Syscalls)
        .outside(Depends("the kernel may be built without it")),
    row("51", "the spawner's environment", "an environment of its own", &["look-into-environment", "UOS_ATTACK_SECRET"])
        .tries(Guarantee::Environment).ends("nothing there"),
    row("52", "the spawner's arguments", "own processes, own /proc", &["read-file", "/proc/{server}/cmdline"])
        .tries(Guarantee::Pids).ends("ENOENT"),
    row("52", "the spawner's environment by /proc", "own processes, own /proc", &["read-file", "/proc/{server}/environ"])
        .tries(Guarantee::Pids).ends("ENOENT"),
    row("53", "a core dump", "core limit of zero", &["dump-core"])
        .outside(Says("SIGSEGV, core dumped", "a fault dumps core")).ends("SIGSEGV"),
    row("65", "the machine's name", CALLS, &["rename-machine"]).tries(Guarantee::Syscalls),
    row("65", "another personality", CALLS, &["change-personality"]).tries(Guarantee::Syscalls),
    row("66", "a higher priority", "no capabilities", &["raise-priority"])
        .tries(Guarantee::NoNewPrivileges).standard("EACCES"),
    row("66", "real-time scheduling", CALLS, &["run-real-time"]).tries(Guarantee::Syscalls),
    row("66", "locking memory", "limit of locked memory", &["lock-memory"]).tries(Guarantee::NoNewPrivileges).ends("ENOMEM"),
    row("67", "executing memory", "seccomp at Minimal; Standard has no such policy", &["execute-memory"])
        .minimal("EACCES").standard("did it"),
    row("67", "executing what it wrote", "noexec at Minimal; Standard has no such policy", &["execute-written-file", "{scratch}"])
        .minimal("EACCES").standard("did it"),
    row("69", "holding up whoever opens or executes its file", CALLS, &["hold-up-openers", "{scratch}"])
        .tries(Guarantee::Syscalls),
];

/// What is no attack by a program, and which test tries it.
#[rustfmt::skip]
pub(crate) const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("33", "a race for the source of a mount", "trials: a_race_for_the_source_of_a_mount_is_never_won"),
    ("34", "a target of a mount that leads out", "trials: a_target_that_leads_out_is_refused"),
    ("43", "meeting a sibling under an abstract name", "trials: siblings_cannot_meet"),
    ("54", "flood of output", "flood: a_flood_of_output_waits_for_its_reader"),
    ("55", "a program that never reads, or closes its output", "flood: a_program_that_never_reads_holds_nobody_up"),
    ("56", "double fork and setsid", "trees: hostile_trees_leave_nothing"),
    ("57", "TERM ignored", "conformance: stop_gives_a_grace_and_then_kills"),
    ("58", "fork storm during the kill", "trees: hostile_trees_leave_nothing"),
    ("59", "stopping itself", "trees: hostile_trees_leave_nothing"),
    ("60", "the spawner killed", "host: a_host_killed_at_any_moment_leaves_nobody"),
    ("61", "the spawning thread retires", "trials: children_outlive_the_thread_that_asked_for_them"),
    ("62", "zombies", "residue: counts_return_to_where_they_were"),
    ("63", "a signal after the exit", "conformance: nobody_is_reached_after_the_exit"),
    ("64", "failures to execute", "spawn: failures_name_their_stage"),
    ("68", "one user in two sandboxes", "trials: two_sandboxes_are_two_users"),
];
