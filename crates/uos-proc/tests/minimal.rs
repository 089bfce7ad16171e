//! Programs as they come, at the tightest level: it refuses what they don't need, and they don't notice.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
#[path = "attacks/program.rs"]
mod program;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;

use common::{output, run};
use uos_proc::{ExitCause, Guarantee, Level, Mount, Program, Spec};

fn minimal(program: impl Into<Program>) -> Spec {
    let spec = Spec::new(program).level(Level::Minimal).env("PATH", "/usr/bin:/bin");
    spec.accept(Guarantee::Memory).accept(Guarantee::Cpu)
}

const PYTHON: &str = r#"
import collections, hashlib, json, os, pathlib, random, re, selectors, shutil, signal, sqlite3, struct, tempfile, threading, time
import concurrent.futures

def work(n):
    return hashlib.sha256(str(n).encode()).hexdigest()

with concurrent.futures.ThreadPoolExecutor(3) as pool:
    digests = list(pool.map(work, range(200)))

# Asyncio takes a pair of sockets, which there are not at this level; what is below it does not.
def ticks():
    inward, outward = os.pipe()
    selector, seen = selectors.DefaultSelector(), []
    selector.register(inward, selectors.EVENT_READ)
    feeding = threading.Thread(target=lambda: [os.write(outward, bytes([n])) for n in range(5)])
    feeding.start()
    while len(seen) < 5:
        selector.select()
        seen.extend(os.read(inward, 5))
    feeding.join()
    return seen

with tempfile.TemporaryDirectory(dir="/tmp") as folder:
    source, copy = pathlib.Path(folder, "source"), pathlib.Path(folder, "copy")
    source.write_text("a line\n" * 1000)
    shutil.copyfile(source, copy)
    shutil.copystat(source, copy)
    os.link(copy, pathlib.Path(folder, "link"))
    os.symlink("copy", pathlib.Path(folder, "soft"))
    same = source.read_bytes() == pathlib.Path(folder, "soft").read_bytes()
    database = sqlite3.connect(pathlib.Path(folder, "database"))
    database.execute("create table numbers (n)")
    database.executemany("insert into numbers values (?)", [(n,) for n in range(100)])
    database.commit()
    total = database.execute("select sum(n) from numbers").fetchone()[0]
    names = sorted(entry.name for entry in os.scandir(folder))

rang = []
signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.001)
while not rang:
    time.sleep(0.001)

try:
    os.fork()
    forked = "it forked"
except PermissionError:
    forked = "no"
print(json.dumps({"ticks": ticks(), "digests": len(set(digests)), "same": same, "total": total,
                  "names": names, "forked": forked}))
"#;

#[tokio::test]
async fn python_computes() {
    let python = Path::new("/usr/bin/python3");
    assert!(python.exists(), "this test takes {} (Debian: apt-get install python3)", python.display());
    let said = output(minimal(python).args(["-I", "-c", PYTHON])).await;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["ticks"], serde_json::json!([0, 1, 2, 3, 4]));
    assert_eq!((&said["digests"], &said["total"]), (&200.into(), &4950.into()));
    assert_eq!((&said["same"], &said["forked"]), (&true.into(), &"no".into()));
    assert_eq!(said["names"], serde_json::json!(["copy", "database", "link", "soft", "source"]));
}

const SHELL: &str = r#"
set -eu
trap 'echo bye' EXIT
cd /tmp
n=0
while [ $n -lt 1000 ]; do n=$((n + 1)); done
printf '%s
' one two three > list
: > empty
while read -r word; do case $word in t*) echo "$word";; esac; done < list
test -s list && test ! -s empty && [ -d /usr ] && echo "$n $(( n % 7 )) ${PATH%%:*} ${#PATH}"
umask 077
kill -0 $$
exec 3< list
read -r first <&3
echo "$first"
"#;

#[tokio::test]
async fn a_shell_runs_its_own_words() {
    let said = output(minimal("/bin/sh").args(["-c", SHELL])).await;
    assert_eq!(
        said,
        "two
three
1000 6 /usr/bin 13
one
bye
"
    );
}

/// Each alone, as nobody can start another here.
#[tokio::test]
async fn the_usual_tools_do_their_work() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("text"),
        "pear
apple
fig
apple
",
    )
    .unwrap();
    let text = "/data/text";
    let tool = |words: &[&str]| {
        let (program, rest) = words.split_first().unwrap();
        let mount = Mount::read_only(folder.path()).seen_at("/data");
        minimal(Path::new("/usr/bin").join(program)).args(rest.iter().copied()).mount(mount)
    };
    let tools: [(&[&str], &str); 18] = [
        (
            &["cat", text],
            "pear
apple
fig
apple
",
        ),
        (
            &["sort", "-u", text],
            "apple
fig
pear
",
        ),
        (
            &["sort", "--parallel=2", "-r", text],
            "pear
fig
apple
apple
",
        ),
        (
            &["uniq", "-c", text],
            "      1 pear
      1 apple
      1 fig
      1 apple
",
        ),
        (
            &["wc", "-l", text],
            "4 /data/text
",
        ),
        (
            &["head", "-n", "1", text],
            "pear
",
        ),
        (
            &["tail", "-n", "1", text],
            "apple
",
        ),
        (
            &["cut", "-c", "1", text],
            "p
a
f
a
",
        ),
        (
            &["grep", "-c", "apple", text],
            "2
",
        ),
        (
            &["sed", "-n", "s/fig/date/p", text],
            "date
",
        ),
        (
            &["tac", text],
            "apple
fig
apple
pear
",
        ),
        (
            &["cksum", text],
            "506998437 21 /data/text
",
        ),
        (
            &["ls", "/data"],
            "text
",
        ),
        (
            &["stat", "-c", "%s %F", text],
            "21 regular file
",
        ),
        (&["dd", &format!("if={text}"), "bs=4", "count=1", "status=none"], "pear"),
        (
            &["seq", "-s", ",", "3"],
            "1,2,3
",
        ),
        (&["cp", "--preserve=mode,timestamps", text, "/tmp/copy"], ""),
        (&["mkdir", "-p", "/tmp/a/b/c"], ""),
    ];
    for (words, expected) in tools {
        let said = output(tool(words)).await;
        assert_eq!(said, expected, "{words:?}");
    }
}

/// As one of Go would be: no library, threads of its own making, a poller, signals between threads.
#[tokio::test]
async fn a_static_program_with_a_runtime_computes() {
    let program = OwnedFd::from(File::open(&*program::PROGRAM).unwrap());
    let (exit, said, complaints) = run(minimal(program).args(["static", "compute"])).await;
    assert_eq!(exit.cause, ExitCause::Exited(0), "{}", String::from_utf8_lossy(&complaints));
    assert_eq!(
        String::from_utf8(said).unwrap(),
        "computed 7998000, 1 interrupted
"
    );
}
