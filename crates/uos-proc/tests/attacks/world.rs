//! The part of the host that is attacked: files, listeners, a process, things that processes share. After every attack it
//! is looked at again.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program::PROGRAM;

/// A variable of this test program's environment that no attacker may see.
pub(crate) const SECRET_VARIABLE: &str = "UOS_ATTACK_SECRET";

pub(crate) struct World {
    dir: TempDir,
    canary: Vec<u8>,
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_socket: UnixListener,
    path_socket: UnixListener,
    name: String,
    victim: Child,
    address: String,
    key: i32,
    segment: i32,
    semaphores: i32,
    queue: CString,
    /// Open in this program for as long as the world lasts, and not close-on-exec.
    _leaky: Vec<OwnedFd>,
    pub(crate) terminal: OwnedFd,
    _master: OwnedFd,
    host: Host,
}

/// What of the whole host must stay as it is.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    name: String,
    core_pattern: String,
    mounts: usize,
    files: Vec<(PathBuf, u32, Vec<u8>)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("uos-attack-").tempdir_in("/tmp").expect("a directory");
        // Only isolation stands between an attacker and what lies here: by its mode everybody may read it.
        let at = |name: &str| dir.path().join(name);
        allow(dir.path(), 0o755);
        let canary = random();
        fs::write(at("canary"), &canary).expect("a file");
        for (name, mode) in
            [("bin", 0o755), ("ro", 0o755), ("ro/nested", 0o755), ("rw", 0o777), ("scratch", 0o1777)]
        {
            fs::create_dir(at(name)).expect("a directory");
            allow(&at(name), mode);
        }
        fs::write(at("ro/file"), &canary).expect("a file");
        allow(&at("ro/file"), 0o666);
        mount_tmpfs(&at("ro/nested"));
        allow(&at("ro/nested"), 0o777);
        for (name, mode) in [("probe", 0o755), ("tool", 0o777), ("setuid", 0o4755), ("capable", 0o755)] {
            let path = at("bin").join(name);
            copy_program(&path);
            allow(&path, mode);
        }
        give_capability(&at("bin/capable"));

        let name = format!("uos-attack-{}", hex(&random()));
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let sock = at("sock");
        let path_socket = UnixListener::bind(&sock).expect("a socket");
        allow(&sock, 0o777);
        let (tcp, udp) = listeners();
        let abstract_socket = UnixListener::bind_addr(&address).expect("a socket");
        tcp.set_nonblocking(true).expect("a flag");
        udp.set_nonblocking(true).expect("a flag");
        abstract_socket.set_nonblocking(true).expect("a flag");
        path_socket.set_nonblocking(true).expect("a flag");

        let mut victim = Command::new(at("bin/probe"))
            .args(["victim", &hex(&canary)])
            .env(SECRET_VARIABLE, "in the victim")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the victim");
        let mut address = String::new();
        BufReader::new(victim.stdout.take().expect("a pipe")).read_line(&mut address).expect("a line");

        let key = i32::from_ne_bytes(random()[..4].try_into().expect("four bytes")) & i32::MAX | 1;
        let (segment, semaphores) = shared_by_key(key);
        let queue = CString::new(format!("/{name}")).expect("no NUL");
        make_queue(&queue);
        let (master, terminal) = terminal();
        let mut world = World {
            canary,
            tcp,
            udp,
            abstract_socket,
            path_socket,
            name,
            victim,
            address,
            key,
            segment,
            semaphores,
            queue,
            _leaky: (0..150).map(|_| leak()).collect(),
            terminal,
            _master: master,
            host: Host { name: String::new(), core_pattern: String::new(), mounts: 0, files: Vec::new() },
            dir,
        };
        world.host = world.look();
        world
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The words of an attack, with what they stand for in this world. `scratch` is where the attacker may write.
    pub(crate) fn words(&self, words: &[&str], scratch: &str) -> Vec<String> {
        let mut address = self.address.split_whitespace();
        let pairs = [
            ("{canary}", self.at("canary").display().to_string()),
            ("{ro}", self.at("ro").display().to_string()),
            ("{rw}", self.at("rw").display().to_string()),
            ("{bin}", self.at("bin").display().to_string()),
            ("{sock}", self.at("sock").display().to_string()),
            ("{scratch}", scratch.to_owned()),
            ("{port}", self.tcp.local_addr().expect("an address").port().to_string()),
            ("{abstract}", self.name.clone()),
            ("{victim}", self.victim.id().to_string()),
            ("{address}", address.next().expect("an address").to_owned()),
            ("{length}", address.next().expect("a length").to_owned()),
            ("{server}", std::process::id().to_string()),
            ("{key}", self.key.to_string()),
            ("{queue}", self.queue.to_str().expect("ASCII").trim_start_matches('/').to_owned()),
            ("{disk}", disk()),
            ("{procs}", processes_of_a_cgroup()),
        ];
        let fill = |word: &&str| {
            pairs.iter().fold((*word).to_owned(), |word, (hole, value)| word.replace(hole, value))
        };
        words.iter().map(fill).collect()
    }

    /// What came to the listeners since they were last asked.
    pub(crate) fn visitors(&self) -> usize {
        let mut count = 0;
        while self.tcp.accept().is_ok() {
            count += 1;
        }
        while self.udp.recv(&mut [0; 8]).is_ok() {
            count += 1;
        }
        while self.abstract_socket.accept().is_ok() {
            count += 1;
        }
        while self.path_socket.accept().is_ok() {
            count += 1;
        }
        count
    }

    /// Puts back what an attack changed that was meant to succeed.
    pub(crate) fn repair(&mut self) {
        self.visitors();
        let _ = fs::remove_file(self.at("bin/tool"));
        for name in ["probe", "tool"] {
            let path = self.at("bin").join(name);
            let _ = fs::remove_file(&path);
            copy_program(&path);
        }
        allow(&self.at("bin/tool"), 0o777);
        fs::write(self.at("ro/file"), &self.canary).expect("a file");
        for entry in ["ro/nested/file", "rw/linked", "rw/renamed", "scratch/core", "core"] {
            let _ = fs::remove_file(self.at(entry));
        }
        for entry in fs::read_dir(self.at("scratch")).expect("the directory").flatten() {
            let _ = fs::remove_file(entry.path());
        }
        self.host = self.look();
    }

    /// Panics if an attack has left a mark.
    pub(crate) fn assert_unharmed(&mut self, after: &str) {
        assert_eq!(self.visitors(), 0, "{after}: somebody came to a listener of the host");
        assert!(matches!(self.victim.try_wait(), Ok(None)), "{after}: the other process is gone");
        let now = self.look();
        assert_eq!(now.files.len(), self.host.files.len(), "{after}: a file came or went");
        for (was, is) in self.host.files.iter().zip(&now.files) {
            assert!(was == is, "{after}: {} was changed", was.0.display());
        }
        assert_eq!((&now.name, &now.core_pattern), (&self.host.name, &self.host.core_pattern), "{after}");
        assert_eq!(now.mounts, self.host.mounts, "{after}: a mount came or went");
        assert!(segment_is_there(self.segment), "{after}: the shared segment is gone");
    }

    fn look(&self) -> Host {
        let text = |path: &str| fs::read_to_string(path).expect("a file of the kernel");
        let mut files = Vec::new();
        for name in ["canary", "ro/file", "bin/probe", "bin/tool", "bin/setuid", "bin/capable"] {
            files.push(file(self.at(name)));
        }
        for directory in ["", "ro", "ro/nested"] {
            let entries = fs::read_dir(self.at(directory)).expect("a directory").flatten();
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            paths.sort();
            files.extend(paths.into_iter().map(|path| (path, 0, Vec::new())));
        }
        let own_mounts = |line: &&str| line.contains(&*self.dir.path().to_string_lossy());
        Host {
            name: text("/proc/sys/kernel/hostname"),
            core_pattern: text("/proc/sys/kernel/core_pattern"),
            mounts: text("/proc/self/mountinfo").lines().filter(own_mounts).count(),
            files,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let nested = CString::new(self.at("ro/nested").display().to_string()).expect("no NUL");
        // SAFETY: integers, and strings that live until after the calls.
        unsafe {
            libc::umount2(nested.as_ptr(), libc::MNT_DETACH);
            libc::shmctl(self.segment, libc::IPC_RMID, std::ptr::null_mut());
            libc::semctl(self.semaphores, 0, libc::IPC_RMID);
            libc::mq_unlink(self.queue.as_ptr());
        }
    }
}

/// At the same port, which somebody of this machine may have of one kind and not of the other.
fn listeners() -> (TcpListener, UdpSocket) {
    let both = || {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind(tcp.local_addr().expect("an address"));
        udp.ok().map(|udp| (tcp, udp))
    };
    (0..100).find_map(|_| both()).expect("the same port")
}

fn file(path: PathBuf) -> (PathBuf, u32, Vec<u8>) {
    let mode = path.metadata().map(|data| data.permissions().mode()).unwrap_or(0);
    let bytes = fs::read(&path).unwrap_or_default();
    (path, mode, bytes)
}

/// By another process: while this one had it open for writing, a child of another test would, too, and it could not be
/// executed.
fn copy_program(to: &Path) {
    let status = Command::new("cp").arg(&*PROGRAM).arg(to).status().expect("cp");
    assert!(status.success(), "the program could not be copied");
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its owner");
}

fn random() -> Vec<u8> {
    use std::io::Read;
    let mut bytes = vec![0; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("randomness");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A disk of the host, or whatever device stands in for one.
fn disk() -> String {
    let partitions = fs::read_to_string("/proc/partitions").unwrap_or_default();
    let names = partitions.lines().filter_map(|line| line.split_whitespace().nth(3));
    let paths = names.map(|name| format!("/dev/{name}"));
    paths.into_iter().find(|path| File::open(path).is_ok()).unwrap_or_else(|| "/dev/kmsg".to_owned())
}

/// Some things are stopped elsewhere, or in another way, by older kernels.
pub(crate) fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a file of the kernel");
    let mut numbers = release.split(['.', '-']).map(|word| word.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

fn processes_of_a_cgroup() -> String {
    let places = [
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/pids/cgroup.procs",
        "/sys/fs/cgroup/unified/cgroup.procs",
    ];
    let is_writable = |place: &&&str| fs::OpenOptions::new().write(true).custom_flags(0).open(place).is_ok();
    (*places.iter().find(is_writable).unwrap_or(&places[0])).to_owned()
}

/// A descriptor that any child which is not careful inherits.
fn leak() -> OwnedFd {
    let file = File::open("/dev/null").expect("the device");
    // SAFETY: a descriptor that is open, and integers. The copy is new and nobody else's.
    unsafe { OwnedFd::from_raw_fd(libc::fcntl(file.as_raw_fd(), libc::F_DUPFD, 100)) }
}

fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: two places to write to; the rest is left at its defaults by null. Both descriptors are new.
    unsafe {
        assert_eq!(libc::openpty(&raw mut master, &raw mut slave, none, none.cast(), none.cast()), 0);
        libc::fcntl(master, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(slave, libc::F_SETFD, libc::FD_CLOEXEC);
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    }
}

fn mount_tmpfs(at: &Path) {
    let at = CString::new(at.display().to_string()).expect("no NUL");
    let tmpfs = c"tmpfs".as_ptr();
    // SAFETY: strings that live until after the call, and no data.
    let mounted = unsafe { libc::mount(tmpfs, at.as_ptr(), tmpfs, 0, std::ptr::null()) };
    assert_eq!(mounted, 0, "the suite takes root: it could not mount a filesystem to attack");
}

/// A capability, in force as soon as the file is executed: to change owners, which every host's root can give.
fn give_capability(program: &Path) {
    let path = CString::new(program.display().to_string()).expect("no NUL");
    // Revision 2 with the effective flag; permitted and inheritable, low words before high.
    let words: [u32; 5] = [0x0200_0001, 1, 0, 0, 0];
    let name = c"security.capability".as_ptr();
    // SAFETY: strings and words that live until after the call.
    let set = unsafe { libc::setxattr(path.as_ptr(), name, words.as_ptr().cast(), size_of_val(&words), 0) };
    assert_eq!(set, 0, "the suite takes root: it could not give a file a capability");
}

fn shared_by_key(key: i32) -> (i32, i32) {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
    // SAFETY: integers.
    let (segment, semaphores) = unsafe { (libc::shmget(key, 4096, flags), libc::semget(key, 1, flags)) };
    assert!(segment >= 0 && semaphores >= 0, "the suite takes System V ipc");
    (segment, semaphores)
}

fn segment_is_there(segment: i32) -> bool {
    // SAFETY: a structure of which all zeroes is a value, and room for it.
    unsafe {
        let mut status: libc::shmid_ds = std::mem::zeroed();
        libc::shmctl(segment, libc::IPC_STAT, &raw mut status) == 0
    }
}

/// A small one: all queues of a user have ten of the usual size together, and what a killed test has left counts.
fn make_queue(name: &CString) {
    // SAFETY: a structure of which all zeroes is a value.
    let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
    (attributes.mq_maxmsg, attributes.mq_msgsize) = (1, 64);
    // SAFETY: a string and a structure that live until after the call; the descriptor is closed at once, the queue stays.
    unsafe {
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
        let queue = libc::mq_open(name.as_ptr(), flags, 0o666, &raw mut attributes);
        assert!(queue >= 0, "the suite takes POSIX message queues");
        libc::mq_close(queue);
    }
}
