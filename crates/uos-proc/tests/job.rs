//! A job as one would give it to a sandbox: foreign code with a folder to read and a folder to write.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use common::run;
use uos_proc::{ExitCause, Guarantee, Level, Mount, Spec};

const JOB: &str = r#"
import json, pathlib, socket, sys
here, there, port = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
numbers = [int(line) for line in (here / "numbers").read_text().split()]
attempts = {}
def attempt(name, act):
    try:
        act()
        attempts[name] = "did it"
    except OSError as error:
        attempts[name] = error.strerror
attempt("shadow", lambda: open("/etc/shadow").read())
attempt("listener", lambda: socket.create_connection(("127.0.0.1", port), 5))
attempt("source", lambda: (here / "numbers").write_text("0"))
attempt("system", lambda: pathlib.Path("/usr/x").write_text("0"))
(there / "result").write_text(json.dumps({"sum": sum(numbers), "attempts": attempts}))
"#;

/// Python is the foreign code's; where it is not installed, this fails and says so.
#[tokio::test]
async fn a_python_job_computes_and_reaches_nothing_else() {
    let python = Path::new("/usr/bin/python3");
    assert!(python.exists(), "this test takes {} (Debian: apt-get install python3)", python.display());
    let (source, output) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(source.path().join("job.py"), JOB).unwrap();
    fs::write(source.path().join("numbers"), (1..=1000).map(|n| format!("{n}\n")).collect::<String>())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();

    let spec = Spec::new(python)
        .arg("-I")
        .args([source.path().join("job.py"), source.path().into(), output.path().into()])
        .arg(port.to_string())
        .mount(Mount::read_only(source.path()))
        .mount(Mount::writable(output.path()))
        .level(Level::Standard)
        .accept(Guarantee::Memory)
        .accept(Guarantee::Cpu);
    let (exit, _, complaints) = run(spec).await;
    assert_eq!(exit.cause, ExitCause::Exited(0), "{}", String::from_utf8_lossy(&complaints));

    let result = fs::read_to_string(output.path().join("result")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["sum"], 500_500);
    let attempts = [
        ("shadow", "No such file or directory"),
        ("listener", "Network is unreachable"),
        ("source", "Read-only file system"),
        ("system", "Read-only file system"),
    ];
    for (name, refusal) in attempts {
        assert_eq!(result["attempts"][name], refusal, "{name}");
    }
    assert!(listener.accept().is_err(), "somebody came to the listener");
}
