//! An engine for tests: it speaks as much of Docker's interface as `OciSpawner` uses, on a socket of its own. Its
//! containers are plain processes of the host; what it is asked for it notes, and it refuses what it is told to refuse.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

/// Until it is dropped, its socket is there. Connections that are open are served to their end.
pub(crate) struct Engine {
    _dir: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    state: Arc<State>,
}

/// A test that ends may do so before the engine was asked to remove what the test has let go of.
impl Drop for Engine {
    fn drop(&mut self) {
        let inner = self.state.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let running = |container: &&Container| container.pid > 0 && container.exit_code.is_none();
        inner.containers.values().filter(running).for_each(|container| signal(container.pid, libc::SIGKILL));
    }
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    containers: BTreeMap<String, Container>,
    asked: Vec<(String, Value)>,
    /// By the end of a path: what is answered instead.
    refusals: BTreeMap<String, (u16, String)>,
    stats: Value,
    oom: bool,
    made: usize,
}

#[derive(Default)]
struct Container {
    body: Value,
    connection: Option<UnixStream>,
    pid: i32,
    paused: bool,
    exit_code: Option<i64>,
}

/// One request, as it came.
struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    body: Value,
}

impl Engine {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || serve(&state, &connection.unwrap()));
            }
        });
        Engine { _dir: dir, socket, state }
    }

    /// Answers requests to paths that end so with an error from now on.
    pub(crate) fn refuse(&self, end: &str, status: u16, message: &str) {
        self.state.lock().refusals.insert(end.to_owned(), (status, message.to_owned()));
    }

    pub(crate) fn refuse_nothing(&self) {
        self.state.lock().refusals.clear();
    }

    pub(crate) fn tell_stats(&self, stats: Value) {
        self.state.lock().stats = stats;
    }

    /// What ends from now on has been killed for want of memory.
    pub(crate) fn run_out_of_memory(&self) {
        self.state.lock().oom = true;
    }

    /// The bodies of requests to paths that end so.
    pub(crate) fn asked(&self, end: &str) -> Vec<Value> {
        let state = self.state.lock();
        state.asked.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, body)| body.clone()).collect()
    }

    /// A container that nobody here has made.
    pub(crate) fn leave_behind(&self, id: &str, label: &str) {
        let body = json!({ "Labels": { "uos-proc.spawner": label } });
        self.state.lock().containers.insert(id.to_owned(), Container { body, ..Container::default() });
    }

    pub(crate) fn containers(&self) -> Vec<String> {
        self.state.lock().containers.keys().cloned().collect()
    }

    /// Waits until so many containers are left.
    pub(crate) fn until_left(&self, count: usize) {
        let state = self.state.lock();
        let is_more = |inner: &mut Inner| inner.containers.len() != count;
        let (state, late) =
            self.state.changed.wait_timeout_while(state, Duration::from_secs(60), is_more).unwrap();
        assert!(!late.timed_out(), "{:?} are left", state.containers.keys());
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

fn serve(state: &Arc<State>, connection: &UnixStream) {
    let mut from = BufReader::new(connection.try_clone().unwrap());
    let Some(request) = read(&mut from) else { return };
    let (status, answer) = answer(state, &request, connection);
    if status == 101 {
        return;
    }
    let text = if answer.is_null() { String::new() } else { answer.to_string() };
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    // Whoever asked may have gone.
    let mut to = connection;
    let _ = to.write_all(head.as_bytes()).and_then(|()| to.write_all(text.as_bytes()));
}

fn read(from: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        let read = from.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    while let Some(header) = line().filter(|line| !line.is_empty()) {
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // `/v1.47/containers/json`.
    let path = match path.strip_prefix("/v1.") {
        Some(versioned) => versioned.split_once('/').map_or(String::new(), |(_, rest)| format!("/{rest}")),
        None => path.to_owned(),
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Some(Request { method, path, query, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn answer(state: &Arc<State>, request: &Request, connection: &UnixStream) -> (u16, Value) {
    let mut inner = state.lock();
    inner.asked.push((request.path.clone(), request.body.clone()));
    let refusal = inner.refusals.iter().find(|(end, _)| request.path.ends_with(end.as_str()));
    if let Some((_, (status, message))) = refusal {
        return (*status, json!({ "message": message }));
    }
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["version"]) => (200, json!({ "ApiVersion": "1.47", "Version": "27.0.0" })),
        ("GET", ["info"]) => (200, info()),
        ("GET", ["images", "test", "json"]) => (200, json!({ "Id": "sha256:0", "Config": {} })),
        ("GET", ["containers", "json"]) => {
            let told = |(id, container): (&String, &Container)| json!({ "Id": id, "Labels": container.body["Labels"] });
            (200, inner.containers.iter().map(told).collect())
        }
        ("POST", ["containers", "create"]) => {
            inner.made += 1;
            let id = format!("c{}", inner.made);
            let container = Container { body: request.body.clone(), ..Container::default() };
            inner.containers.insert(id.clone(), container);
            (201, json!({ "Id": id, "Warnings": [] }))
        }
        (_, ["containers", id, ..]) if !inner.containers.contains_key(*id) => {
            (404, json!({ "message": format!("No such container: {id}") }))
        }
        (method, ["containers", id, rest @ ..]) => {
            drop(inner);
            of_container(state, id, (method, rest.first().copied().unwrap_or("")), request, connection)
        }
        _ => (404, json!({ "message": "page not found" })),
    }
}

fn of_container(
    state: &Arc<State>,
    id: &str,
    what: (&str, &str),
    request: &Request,
    connection: &UnixStream,
) -> (u16, Value) {
    let mut inner = state.lock();
    let (stats, oom) = (inner.stats.clone(), inner.oom);
    // It may have been removed by somebody else meanwhile.
    let Some(container) = inner.containers.get_mut(id) else {
        return (404, json!({ "message": format!("No such container: {id}") }));
    };
    let not_running = || (409, json!({ "message": format!("container {id} is not running") }));
    let is_running = container.pid > 0 && container.exit_code.is_none();
    match what {
        ("POST", "attach") => {
            let mut to = connection;
            to.write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").unwrap();
            container.connection = Some(connection.try_clone().unwrap());
            (101, Value::Null)
        }
        ("POST", "start") => match run(state, id, container) {
            Ok(pid) => {
                container.pid = pid;
                (204, Value::Null)
            }
            Err(error) => (400, json!({ "message": format!("exec: {}", error.to_string().to_lowercase()) })),
        },
        ("GET", "json") => {
            let (pid, code) = (if is_running { container.pid } else { 0 }, container.exit_code);
            let told = json!({ "Running": is_running, "Paused": container.paused, "Pid": pid, "ExitCode": code.unwrap_or(0),
                               "OOMKilled": oom && code.is_some() });
            (200, json!({ "Id": id, "State": told }))
        }
        ("GET", "stats") => (200, stats),
        ("POST", "wait") => {
            let lives = |inner: &mut Inner| {
                inner.containers.get(id).is_some_and(|container| container.exit_code.is_none())
            };
            let inner = state.changed.wait_while(inner, lives).unwrap();
            match inner.containers.get(id).and_then(|container| container.exit_code) {
                Some(code) => (200, json!({ "StatusCode": code })),
                None => (404, json!({ "message": "No such container" })),
            }
        }
        ("POST", "kill") if is_running => {
            // Podman's way.
            if container.paused {
                return (
                    409,
                    json!({ "message": "can only kill running containers: container state improper" }),
                );
            }
            signal(container.pid, request.query["signal"].parse().unwrap());
            (204, Value::Null)
        }
        ("POST", "pause" | "unpause") if is_running => {
            let pauses = what.1 == "pause";
            if container.paused == pauses {
                return (409, json!({ "message": format!("container {id} is already so") }));
            }
            container.paused = pauses;
            signal(container.pid, if pauses { libc::SIGSTOP } else { libc::SIGCONT });
            (204, Value::Null)
        }
        ("POST", "update") if is_running => (200, json!({ "Warnings": [] })),
        ("DELETE", _) => {
            if is_running {
                signal(container.pid, libc::SIGKILL);
            }
            inner.containers.remove(id);
            state.changed.notify_all();
            (204, Value::Null)
        }
        ("POST", _) => not_running(),
        _ => (404, json!({ "message": "page not found" })),
    }
}

/// Starts a container's program, and sees it through in threads.
fn run(state: &Arc<State>, id: &str, container: &mut Container) -> std::io::Result<i32> {
    let texts = |name: &str| {
        let list = container.body[name].as_array().cloned().unwrap_or_default();
        list.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut command = Command::new(&texts("Entrypoint")[0]);
    command.args(texts("Cmd")).env_clear().process_group(0);
    command.envs(texts("Env").iter().map(|pair| pair.split_once('=').unwrap()));
    command.current_dir(container.body["WorkingDir"].as_str().unwrap());
    let has_stdin = container.body["OpenStdin"] == json!(true);
    command.stdin(if has_stdin { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = i32::try_from(child.id()).unwrap();
    let connection = container.connection.take().expect("attached before it is started");
    if let Some(mut stdin) = child.stdin.take() {
        let mut from = connection.try_clone().unwrap();
        std::thread::spawn(move || {
            // Not `io::copy`: it would have the kernel wait for more with the pipe locked.
            let mut room = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut room) {
                if stdin.write_all(&room[..read]).is_err() {
                    break;
                }
            }
        });
    }
    let to = Arc::new(Mutex::new(connection.try_clone().unwrap()));
    let stdout = hand_out(1, child.stdout.take().unwrap(), Arc::clone(&to));
    let stderr = hand_out(2, child.stderr.take().unwrap(), to);
    let (state, id) = (Arc::clone(state), id.to_owned());
    std::thread::spawn(move || {
        let status = child.wait().unwrap();
        // As with a process of its own process ids, nobody outlives it.
        signal(pid, libc::SIGKILL);
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
        if let Some(container) = state.lock().containers.get_mut(&id) {
            container.exit_code = Some(code.into());
        }
        state.changed.notify_all();
        stdout.join().unwrap();
        stderr.join().unwrap();
        let _ = connection.shutdown(std::net::Shutdown::Both);
    });
    Ok(pid)
}

/// In frames: which stream, three bytes of nothing, a length and as many bytes.
fn hand_out(
    stream: u8,
    mut from: impl Read + Send + 'static,
    to: Arc<Mutex<UnixStream>>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut room = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut room) {
            let length = u32::try_from(read).unwrap().to_be_bytes();
            let frame = [&[stream, 0, 0, 0], &length[..], &room[..read]].concat();
            if to.lock().unwrap().write_all(&frame).is_err() {
                break;
            }
        }
    })
}

fn signal(pid: i32, number: i32) {
    // SAFETY: integers. A group that is gone is none.
    unsafe { libc::kill(-pid, number) };
}

fn info() -> Value {
    json!({ "MemoryLimit": true, "SwapLimit": true, "CpuCfsQuota": true, "CPUShares": true, "PidsLimit": true,
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"] })
}
