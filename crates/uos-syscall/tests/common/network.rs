//! A network for tests: servers of the host's own, seen from outside, and names and routes that a test decides on.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use tokio::net::TcpSocket;
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Answering, Caller, Dialer, Limits, ResolveError, Resolver, Turn};

use super::World;

/// An address that is public, and that no test really connects to.
pub(crate) const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));

/// A server on loopback that keeps every request it got and answers each by a function of it.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One that answers a whole request, head and body as text, with these bytes, and hangs up.
    pub(crate) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::handling(move |mut stream, seen| {
            if let Ok(request) = read_request(&mut stream) {
                let bytes = answer(&request);
                seen.lock().unwrap().push(request);
                let _ = stream.write_all(&bytes);
            }
        })
    }

    /// One that does with each connection what it is told to.
    pub(crate) fn handling(handle: impl Fn(TcpStream, &Mutex<Vec<String>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let (seen, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (to, stopped, handle) = (Arc::clone(&seen), Arc::clone(&stop), Arc::new(handle));
        let thread = std::thread::spawn(move || {
            let mut hands = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (to, handle) = (Arc::clone(&to), Arc::clone(&handle));
                hands.push(std::thread::spawn(move || handle(stream.unwrap(), &to)));
            }
            hands.into_iter().for_each(|hand| hand.join().unwrap());
        });
        Self { at, seen, stop, thread: Some(thread) }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.at);
        let thread = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || thread.is_ok());
    }
}

/// A port of loopback at which nobody listens, and while this is held nobody else comes to either.
pub(crate) fn nobody() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket
}

fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let (mut all, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(text);
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => all.extend_from_slice(&part[..count]),
        }
    }
}

/// An answer of 200 with a body.
pub(crate) fn fine(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-from: here\r\n\r\n{body}", body.len()).into_bytes()
}

/// An answer that leads somewhere else.
pub(crate) fn redirect(status: u16, to: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// Names that lead where the test says; from look-up to look-up the list is gone through, and its last entry stays.
#[derive(Clone, Default)]
pub(crate) struct Names {
    answers: Arc<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    pub(crate) fn new(answers: &[(&str, &[&[&str]])]) -> Self {
        let read = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers
            .iter()
            .map(|(name, lists)| ((*name).to_owned(), lists.iter().map(|list| read(list)).collect()));
        Self { answers: Arc::new(answers.collect()), asked: Arc::default() }
    }

    /// Every look-up there was, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str, _turn: Turn) -> Answering<'a, Result<Vec<IpAddr>, ResolveError>> {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|other| *other == name).count();
        asked.push(name.to_owned());
        let answer = match self.answers.get(name).map(Vec::as_slice) {
            Some([]) => Err(ResolveError::Failed("the servers are on fire".to_owned())),
            Some(lists) => Ok(lists[before.min(lists.len() - 1)].clone()),
            None => Err(ResolveError::NoSuchName),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Names that are looked up for ever.
pub(crate) struct Never;

impl Resolver for Never {
    fn resolve<'a>(&'a self, _name: &'a str, turn: Turn) -> Answering<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            let _turn = turn;
            std::future::pending().await
        })
    }
}

/// Connects for real, but leads public addresses to a server of the test; keeps what was dialled.
#[derive(Clone, Default)]
pub(crate) struct Routes {
    public: Option<SocketAddr>,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Routes {
    /// Public addresses lead to this server, whatever the port.
    pub(crate) fn to(server: &Server) -> Self {
        Self::to_port(server.at.port())
    }

    /// The same for whatever listens at a port of loopback.
    pub(crate) fn to_port(port: u16) -> Self {
        Self { public: Some((Ipv4Addr::LOCALHOST, port).into()), ..Self::default() }
    }

    pub(crate) fn dialled(&self) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().clone()
    }
}

impl Dialer for Routes {
    fn dial(&self, to: SocketAddr) -> Answering<'_, io::Result<tokio::net::TcpStream>> {
        self.dialled.lock().unwrap().push(to);
        let to = self.public.filter(|_| to.ip() == PUBLIC).unwrap_or(to);
        Box::pin(tokio::net::TcpStream::connect(to))
    }
}

/// A kernel with these names and routes.
pub(crate) fn world(names: &Names, routes: &Routes) -> World {
    world_with(Limits::default(), names, routes)
}

pub(crate) fn world_with(limits: Limits, names: &Names, routes: &Routes) -> World {
    let (names, routes) = (names.clone(), routes.clone());
    World::built(limits, LinuxSpawner::new().unwrap(), |builder| builder.resolver(names).dialer(routes))
}

pub(crate) fn get(url: impl Into<String>) -> v1::NetworkRequest {
    v1::NetworkRequest { url: url.into(), ..Default::default() }
}

/// Listens on every address of this machine and counts who comes.
pub(crate) struct Canary {
    pub(crate) port: u16,
    listener: TcpListener,
    accepted: AtomicUsize,
}

impl Canary {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("[::]:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { port: listener.local_addr().unwrap().port(), listener, accepted: AtomicUsize::new(0) }
    }

    /// How many have connected so far. Each of those that wait is answered.
    pub(crate) fn visits(&self) -> usize {
        while let Ok((mut stream, _)) = self.listener.accept() {
            self.accepted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&fine("canary"));
        }
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Where a socket is to be, over the network.
pub(crate) fn at(host: &str, port: u16) -> Option<v1::SocketAddress> {
    Some(v1::SocketAddress { host: host.to_owned(), port: port.into(), ..Default::default() })
}

/// Where a socket is to be, within the system.
pub(crate) fn under(name: &str) -> Option<v1::SocketAddress> {
    Some(v1::SocketAddress { name: name.to_owned(), ..Default::default() })
}

/// A socket of somebody's.
pub(crate) async fn socket(world: &World, who: &Caller, kind: v1::SocketKind) -> u64 {
    world.call(who, v1::Socket { kind: kind.into() }).await.unwrap().id
}

/// A socket of somebody's on loopback, at a port of the host's choice.
pub(crate) async fn bound(world: &World, who: &Caller, kind: v1::SocketKind) -> (u64, u16) {
    let id = socket(world, who, kind).await;
    let reply = world.call(who, v1::Bind { id, address: at("127.0.0.1", 0) }).await.unwrap();
    (id, reply.address.unwrap().port as u16)
}
