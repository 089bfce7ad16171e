//! Programs started by the first thread of a program, which needs no other thread for it. The tests of a test program run on
//! others, so this is a program of its own: it runs each of its tests on the thread that it began with.
#![cfg_attr(target_os = "linux", expect(clippy::unwrap_used, reason = "the helpers of tests are tests"))]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Command, Stdio as HostStdio};
    use std::time::{Duration, Instant};

    use tokio::runtime::Runtime;
    use uos_proc::{
        Child, ExitCause, Level, Limits, LinuxSpawner, OnDrop, Signal, SpawnError, Spawner, Spec, Stage,
    };

    type Test = (&'static str, fn(&Runtime));

    const TESTS: [Test; 7] = [
        ("what_is_started_here_is_waited_for", what_is_started_here_is_waited_for),
        ("nothing_is_left_of_many", nothing_is_left_of_many),
        ("a_failure_names_its_stage", a_failure_names_its_stage),
        ("what_is_started_here_ends_with_its_spawner", what_is_started_here_ends_with_its_spawner),
        ("what_was_let_go_ends_with_its_spawner", what_was_let_go_ends_with_its_spawner),
        ("one_spawners_end_is_not_anothers", one_spawners_end_is_not_anothers),
        ("a_program_that_is_killed_takes_them_along", a_program_that_is_killed_takes_them_along),
    ];

    pub(crate) fn main() {
        let words: Vec<String> = std::env::args().skip(1).collect();
        if words.first().is_some_and(|word| word == "play-the-one-that-is-killed") {
            return play_the_one_that_is_killed();
        }
        assert_eq!(rustix::process::getpid(), rustix::thread::gettid(), "this is the first thread");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let is_wanted = |name: &str| {
            let mut names = words.iter().filter(|word| !word.starts_with("--")).peekable();
            names.peek().is_none() || names.any(|word| name.contains(word.as_str()))
        };
        if words.iter().any(|word| word == "--list") {
            TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
            return;
        }
        let wanted: Vec<&Test> = TESTS.iter().filter(|(name, _)| is_wanted(name)).collect();
        println!("\nrunning {} tests", wanted.len());
        for (name, test) in &wanted {
            test(&runtime);
            println!("test {name} ... ok");
        }
        println!("\ntest result: ok. {} passed; 0 failed; 0 ignored", wanted.len());
    }

    fn plain(program: &str) -> Spec {
        Spec::new(program).level(Level::Privileged)
    }

    fn sleep(spawner: &LinuxSpawner) -> Child {
        spawner.spawn(plain("/bin/sleep").arg("1000")).unwrap()
    }

    fn what_is_started_here_is_waited_for(runtime: &Runtime) {
        let spawner = LinuxSpawner::new().unwrap();
        let child = spawner.spawn(plain("/bin/sh").args(["-c", "exit 7"])).unwrap();
        assert_eq!(runtime.block_on(child.wait()).cause, ExitCause::Exited(7));
        let child = sleep(&spawner);
        child.signal(Signal::TERM).unwrap();
        let by_term = ExitCause::Signaled { signal: Signal::TERM, core: false };
        assert_eq!(runtime.block_on(child.wait()).cause, by_term);
    }

    fn nothing_is_left_of_many(runtime: &Runtime) {
        let spawner = LinuxSpawner::new().unwrap();
        let one = || {
            let child = spawner.spawn(plain("/bin/true")).unwrap();
            assert!(runtime.block_on(child.wait()).cause.success());
        };
        one();
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        (0..200).for_each(|_| one());
        assert_eq!(open(), before);
        assert_eq!(children(), 0);
        drop((0..20).map(|_| sleep(&spawner)).collect::<Vec<_>>());
        until(|| children() == 0);
    }

    fn a_failure_names_its_stage(_: &Runtime) {
        let spawner = LinuxSpawner::new().unwrap();
        let failed = |spec: Spec| spawner.spawn(spec).unwrap_err();
        let at = |stage, errno| SpawnError::Stage { stage, errno };
        assert_eq!(failed(plain("/no/such/program")), at(Stage::Exec, libc::ENOENT));
        let spec = plain("/bin/true").cwd(uos_proc::Cwd::Path("/no/such/place".into()));
        assert_eq!(failed(spec), at(Stage::Cwd, libc::ENOENT));
        until(|| children() == 0);
    }

    fn what_is_started_here_ends_with_its_spawner(runtime: &Runtime) {
        let spawner = LinuxSpawner::new().unwrap();
        let children: Vec<Child> = (0..40).map(|_| sleep(&spawner)).collect();
        drop(spawner);
        for child in children {
            let by_kill = ExitCause::Signaled { signal: Signal::KILL, core: false };
            assert_eq!(runtime.block_on(within(child.wait())).cause, by_kill);
        }
    }

    fn what_was_let_go_ends_with_its_spawner(_: &Runtime) {
        let spawner = LinuxSpawner::new().unwrap();
        let child = spawner.spawn(plain("/bin/sleep").arg("1000").on_drop(OnDrop::Detach)).unwrap();
        let pid = child.os_pid();
        drop(child);
        assert!(is_there(pid));
        drop(spawner);
        until(|| !is_there(pid));
    }

    fn one_spawners_end_is_not_anothers(runtime: &Runtime) {
        let (one, other) = (LinuxSpawner::new().unwrap(), LinuxSpawner::new().unwrap());
        let limits = Limits { cpu_seconds: Some(100), ..Limits::NONE };
        let child = other.spawn(plain("/bin/sleep").arg("1000").limits(limits)).unwrap();
        let gone = sleep(&one);
        drop(one);
        runtime.block_on(within(gone.wait()));
        assert_eq!(child.try_wait(), None);
        child.kill_tree().unwrap();
        assert_eq!(runtime.block_on(within(child.wait())).cause, ExitCause::Killed);
    }

    fn a_program_that_is_killed_takes_them_along(_: &Runtime) {
        let own = std::env::current_exe().unwrap();
        let mut command = Command::new(own);
        let mut host = command.arg("play-the-one-that-is-killed").stdout(HostStdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid: u32 = line.trim().parse().unwrap();
        assert!(is_there(pid));
        host.kill().unwrap();
        host.wait().unwrap();
        until(|| !is_there(pid));
    }

    fn play_the_one_that_is_killed() {
        let spawner = LinuxSpawner::new().unwrap();
        let child = sleep(&spawner);
        println!("{}", child.os_pid());
        std::thread::sleep(Duration::from_secs(600));
    }

    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), what).await.unwrap()
    }

    fn until(is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "it never came to it");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_there(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    /// Children of this process, zombies included.
    fn children() -> usize {
        let own = std::process::id().to_string();
        let parent = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(1).map(str::to_owned);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter_map(parent).filter(|parent| *parent == own).count()
    }
}
