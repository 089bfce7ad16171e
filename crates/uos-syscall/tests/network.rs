//! Requests of HTTP: what arrives at the server, what comes back, and what a request leaves behind.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    io::{Read, Write},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use common::{
    World, give_up,
    network::{Names, PUBLIC, Routes, Server, fine, get, nobody, redirect, world, world_with},
    until, within,
};
use tokio_rustls::{TlsAcceptor, rustls};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{
    Answering, Cause, Errno, Limits, ResolveError, Resolver, Turn,
    audit::{Decision, Subject},
};

const PUBLIC_NAMES: &[(&str, &[&[&str]])] = &[
    ("a.example", &[&["8.8.8.8"]]),
    ("b.example", &[&["8.8.8.8"]]),
    ("empty.example", &[&[]]),
    ("fire.example", &[]),
];

fn header(name: &str, value: &str) -> v1::HttpHeader {
    v1::HttpHeader { name: name.into(), value: value.into(), ..Default::default() }
}

/// The URL of a server on loopback, and the grant to reach it.
fn url_and_grant(server: &Server) -> (String, String) {
    (format!("http://{}/", server.at), format!("net.connect:{}", server.at))
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_comes_back() {
    let server = Server::start(|_| fine("the answer"));
    let world = World::start();
    let (url, grant) = url_and_grant(&server);
    let agent = world.agent(&[&grant]).await;
    let request = v1::NetworkRequest {
        method: "put".into(),
        url: format!("{url}a%20b?c=d#e"),
        headers: vec![header("X-Key", "value"), header("x-key", "other")],
        body: "the body".into(),
        ..Default::default()
    };
    let answer = world.call(&agent, request).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.truncated), (200, &b"the answer"[..], false));
    assert_eq!((answer.url, answer.redirects), (format!("{url}a%20b?c=d"), 0));
    assert!(answer.headers.contains(&header("x-from", "here")));

    let [seen] = &server.requests()[..] else { panic!("one request") };
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().map(str::to_lowercase).collect();
    assert_eq!(lines.remove(0), "put /a%20b?c=d http/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.at);
    assert_eq!(
        lines,
        [
            "accept: */*",
            "connection: close",
            "content-length: 8",
            &host,
            "user-agent: uos/0.1.0",
            "x-key: other",
            "x-key: value"
        ]
    );
    assert_eq!(body, "the body");

    world.kernel.audit().flush();
    let record = world.audit.records().pop().unwrap();
    assert_eq!(
        record.subject,
        Subject::Address(server.at.to_string().into()),
        "the host, and nothing of the rest"
    );
    assert!(matches!(record.decision, Decision::Grant(given) if given.to_string() == grant));
}

#[tokio::test]
async fn a_body_is_taken_up_to_what_was_asked_for() {
    let server = Server::start(|request| {
        let length: usize = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        fine(&"x".repeat(length))
    });
    let world = World::start();
    let (url, grant) = url_and_grant(&server);
    let agent = world.agent(&[&grant]).await;
    for (length, most, taken) in [
        (0, 0, 0),
        (9, 10, 9),
        (10, 10, 10),
        (11, 10, 10),
        (1 << 20, 0, 1 << 20),
        ((1 << 20) + 1, 1 << 30, 1 << 20),
    ] {
        let request = v1::NetworkRequest { max_bytes: most, ..get(format!("{url}{length}")) };
        let answer = world.call(&agent, request).await.unwrap();
        assert_eq!((answer.body.len(), answer.truncated), (taken, length > taken), "{length} of {most}");
    }
}

#[tokio::test]
async fn what_lets_somebody_in_stays_with_whom_it_was_for() {
    let server = Server::start(|request| match request.split(' ').nth(1).unwrap() {
        "/near" => redirect(307, "/end"),
        "/far" => redirect(307, "http://b.example/end"),
        "/other-port" => redirect(308, "http://a.example:81/end"),
        "/post" => redirect(303, "/end"),
        _ => fine("end"),
    });
    let world = world(&Names::new(PUBLIC_NAMES), &Routes::to(&server));
    let agent = world.agent(&["net.connect:*.example"]).await;
    for (path, url, kept) in [
        ("near", "http://a.example/end", true),
        ("far", "http://b.example/end", false),
        ("other-port", "http://a.example:81/end", false),
    ] {
        let request = v1::NetworkRequest {
            method: "POST".into(),
            headers: vec![
                header("Authorization", "s3cret"),
                header("Cookie", "s3cret"),
                header("X-Api-Key", "s3cret"),
                header("Accept", "a/b"),
            ],
            body: "body".into(),
            ..get(format!("http://a.example/{path}"))
        };
        let answer = world.call(&agent, request).await.unwrap();
        assert_eq!((&*answer.url, answer.redirects), (url, 1));
        let last = server.requests().pop().unwrap();
        assert_eq!(last.matches("s3cret").count(), if kept { 3 } else { 0 }, "{path}: {last}");
        assert!(
            last.starts_with("POST /end ") && last.contains("accept: a/b") && last.ends_with("body"),
            "{last}"
        );
    }
    let request =
        v1::NetworkRequest { method: "POST".into(), body: "body".into(), ..get("http://a.example/post") };
    world.call(&agent, request).await.unwrap();
    let last = server.requests().pop().unwrap();
    assert!(last.starts_with("GET /end ") && !last.contains("body"), "{last}");
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_only_where_the_caller_may_go() {
    let server = Server::start(|request| {
        let left: u32 = request.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        match left {
            0 => fine("end"),
            99 => redirect(302, "http://c.example/"),
            98 => redirect(302, "file:///etc/passwd"),
            left => redirect(301, &format!("/{}", left - 1)),
        }
    });
    let world = world(&Names::new(PUBLIC_NAMES), &Routes::to(&server));
    let agent = world.agent(&["net.connect:a.example"]).await;
    let ask = |path: u32, most| v1::NetworkRequest {
        max_redirects: most,
        ..get(format!("http://a.example/{path}"))
    };
    assert_eq!(world.call(&agent, ask(10, None)).await.unwrap().redirects, 10);
    assert_eq!(world.errno(&agent, ask(11, None)).await, Errno::ELOOP);
    assert_eq!(world.call(&agent, ask(20, Some(20))).await.unwrap().redirects, 20);
    assert_eq!(world.errno(&agent, ask(0, Some(21))).await, Errno::EINVAL);
    let itself = world.call(&agent, ask(3, Some(0))).await.unwrap();
    assert_eq!((itself.status, itself.redirects), (301, 0));
    assert!(itself.headers.contains(&header("location", "/2")));
    let refused = world.call(&agent, ask(99, None)).await.unwrap_err();
    assert_eq!((refused.errno, &*refused.hint), (Errno::EACCES, "grant `net.connect:c.example:80`"));
    let astray = world.call(&agent, ask(98, None)).await.unwrap_err();
    assert_eq!(astray.errno, Errno::EPROTO);
    assert_eq!(astray.cause.as_deref(), Some(&Cause::Stage("redirect by a.example:80".into())));
}

#[tokio::test]
async fn who_may_not_even_look_a_name_up_makes_nobody_look() {
    let names = Names::new(PUBLIC_NAMES);
    let routes = Routes::default();
    let world = world(&names, &routes);
    let agent = world.agent(&["net.connect:a.example:81", "net.connect:8.8.8.8:80"]).await;
    let refused = world.call(&agent, get("http://a.example/")).await.unwrap_err();
    assert_eq!((refused.errno, &*refused.hint), (Errno::EACCES, "grant `net.connect:a.example:80`"));
    assert_eq!(refused.cause.as_deref(), Some(&Cause::Right("net.connect:a.example:80".into())));
    assert!(names.asked().is_empty() && routes.dialled().is_empty());
}

#[tokio::test]
async fn every_failure_says_what_failed() {
    let garbage = Server::start(|_| b"SMTP ready\r\n\r\n".to_vec());
    let short = Server::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec());
    let mute = Server::start(|_| Vec::new());
    let long =
        Server::start(|_| format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes());
    let held = nobody();
    let nobody = held.local_addr().unwrap();
    let world = world(&Names::new(PUBLIC_NAMES), &Routes::default());
    let agent = world.agent(&["net.connect:127.0.0.1", "net.connect:*"]).await;
    for (url, errno, stage) in [
        (format!("http://{nobody}/"), Errno::ECONNREFUSED, format!("connect {nobody}")),
        ("http://nobody.example/".to_owned(), Errno::ENOENT, "resolve nobody.example".to_owned()),
        ("http://empty.example/".to_owned(), Errno::ENOENT, "resolve empty.example".to_owned()),
        ("http://fire.example/".to_owned(), Errno::EAGAIN, "resolve fire.example".to_owned()),
        (format!("http://{}/", garbage.at), Errno::EPROTO, format!("http {}", garbage.at)),
        (format!("http://{}/", long.at), Errno::EPROTO, format!("http {}", long.at)),
        (format!("http://{}/", short.at), Errno::ECONNRESET, format!("http {}", short.at)),
        (format!("http://{}/", mute.at), Errno::ECONNRESET, format!("http {}", mute.at)),
    ] {
        let error = world.call(&agent, get(&url)).await.unwrap_err();
        assert_eq!(
            (error.errno, error.cause.as_deref()),
            (errno, Some(&Cause::Stage(stage))),
            "{url}: {error}"
        );
    }
    assert_eq!(world.kernel.in_use().network_requests, 0);
}

#[tokio::test]
async fn a_request_that_is_given_up_hangs_up_and_leaves_nothing() {
    let ended = Arc::new(Mutex::new(0));
    let ends = Arc::clone(&ended);
    // Reads until the other side hangs up, and never answers.
    let server = Server::handling(move |mut stream, seen| {
        seen.lock().unwrap().push("came".to_owned());
        let _ = stream.read_to_end(&mut Vec::new());
        *ends.lock().unwrap() += 1;
    });
    let world = World::with(
        Limits { network_requests_per_process: 1, ..Limits::default() },
        LinuxSpawner::new().unwrap(),
    );
    let (url, grant) = url_and_grant(&server);
    let agent = world.agent(&[&grant]).await;

    let timed = v1::NetworkRequest { timeout_us: Some(50_000), ..get(&url) };
    assert_eq!(world.errno(&agent, timed).await, Errno::ETIMEDOUT);
    assert_eq!(
        world.errno(&agent, v1::NetworkRequest { timeout_us: Some(0), ..get(&url) }).await,
        Errno::ETIMEDOUT
    );

    let mut waiting = Box::pin(world.call(&agent, get(&url)));
    tokio::select! {
        _ = &mut waiting => panic!("nobody answers"),
        () = until("it waits", || world.kernel.in_use().network_requests == 1) => {}
    }
    let full = world.call(&agent, get(&url)).await.unwrap_err();
    let limit = Cause::Limit { name: "network_requests_per_process", used: 1, max: 1 };
    assert_eq!((full.errno, full.cause.as_deref()), (Errno::EDQUOT, Some(&limit)));
    drop(waiting);
    assert_eq!(world.kernel.in_use().network_requests, 0);
    until("all have hung up", || *ended.lock().unwrap() == server.requests().len()).await;

    // The end of the caller ends the request.
    let init = world.kernel.init();
    let (request, kill) = (get(&url), v1::KillProcess { pid: agent.pid().0, tree: true });
    let killing = async {
        until("it waits", || world.kernel.in_use().network_requests == 1).await;
        world.call(&init, kill).await.unwrap();
    };
    let (answer, ()) = tokio::join!(world.call(&agent, request), killing);
    assert_eq!(answer.unwrap_err().errno, Errno::ESRCH);
    assert_eq!(world.kernel.in_use().network_requests, 0);
    assert!(give_up(world.kernel.shut_down()).await.is_some());
}

/// Answers when it is told to.
struct Slow(Arc<tokio::sync::Notify>);

impl Resolver for Slow {
    fn resolve<'a>(&'a self, _name: &'a str, turn: Turn) -> Answering<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            let _turn = turn;
            self.0.notified().await;
            Ok(vec![PUBLIC])
        })
    }
}

#[tokio::test]
async fn a_right_that_is_revoked_while_a_name_is_looked_up_is_gone() {
    let (go, routes) = (Arc::new(tokio::sync::Notify::new()), Routes::default());
    let (slow, to) = (Slow(Arc::clone(&go)), routes.clone());
    let world = World::built(Limits::default(), LinuxSpawner::new().unwrap(), |builder| {
        builder.resolver(slow).dialer(to)
    });
    let agent = world.agent(&["net.connect:a.example"]).await;
    let revoking = async {
        tokio::task::yield_now().await;
        world.set_grants(&agent, &[]);
        go.notify_one();
    };
    let (answer, ()) = tokio::join!(world.call(&agent, get("http://a.example/")), revoking);
    let refused = answer.unwrap_err();
    assert_eq!((refused.errno, &*refused.hint), (Errno::EACCES, "grant `net.connect:a.example:80`"));
    assert!(routes.dialled().is_empty());
}

#[tokio::test]
async fn one_process_holds_few_look_ups_and_another_one_its_own() {
    let go = Arc::new(tokio::sync::Notify::new());
    let slow = Slow(Arc::clone(&go));
    let world = World::built(Limits::default(), LinuxSpawner::new().unwrap(), |builder| {
        builder.resolver(slow).dialer(Routes::to_port(1))
    });
    let (greedy, modest) = (world.agent(&["net.connect:*"]).await, world.agent(&["net.connect:*"]).await);
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let (kernel, greedy) = (world.kernel.clone(), greedy.clone());
            tokio::spawn(async move { kernel.invoke(&greedy, get("http://a.example/").into()).await })
        })
        .collect();
    until("all wait", || world.kernel.in_use().network_requests == 5).await;
    // Those that look are four: as many hear of it, and the fifth begins to look only then.
    let modestly = world.call(&modest, get("http://a.example/"));
    tokio::pin!(modestly);
    assert!(give_up(&mut modestly).await.is_none());
    go.notify_waiters();
    assert_eq!(within(modestly).await.unwrap_err().errno, Errno::ECONNREFUSED);
    until("four have gone on", || world.kernel.in_use().network_requests == 1).await;
    go.notify_one();
    for request in requests {
        assert_eq!(within(request).await.unwrap().unwrap_err().errno, Errno::ECONNREFUSED);
    }
}

/// A server of `https` on loopback, with a certificate for these names. Gives its port and the certificate's authority.
async fn secure_server(names: &[&str]) -> (u16, Vec<u8>) {
    let mut ca = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let authority = ca.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut part = vec![0; 4_096];
            let _ = stream.read(&mut part).await;
            let _ = stream.write_all(&fine("secure")).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, authority.der().to_vec())
}

#[tokio::test]
async fn a_server_must_prove_who_it_is() {
    let (port, authority) = secure_server(&["a.example", "127.0.0.1"]).await;
    let routes = Routes::to_port(port);
    let trusting = |authority: Option<Vec<u8>>| {
        let (names, routes) = (Names::new(PUBLIC_NAMES), routes.clone());
        World::built(Limits::default(), LinuxSpawner::new().unwrap(), |builder| {
            let builder = builder.resolver(names).dialer(routes);
            match authority {
                Some(authority) => builder.authorities(vec![authority]),
                None => builder,
            }
        })
    };
    let grants = ["net.connect:*", "net.connect:127.0.0.1"];
    let world = trusting(Some(authority));
    let agent = world.agent(&grants).await;
    for url in ["https://a.example/".to_owned(), format!("https://127.0.0.1:{port}/")] {
        assert_eq!(&world.call(&agent, get(url)).await.unwrap().body[..], b"secure");
    }
    let other = world.call(&agent, get("https://b.example/")).await.unwrap_err();
    assert_eq!(
        (other.errno, other.cause.as_deref()),
        (Errno::EPROTO, Some(&Cause::Stage("tls b.example".into())))
    );
    // Somebody whose authority is not the one that signed this.
    let (_, stranger) = secure_server(&["a.example"]).await;
    for authority in [Some(stranger), Some(b"no certificate".to_vec())] {
        let world = trusting(authority);
        let agent = world.agent(&grants).await;
        let errno = world.errno(&agent, get("https://a.example/")).await;
        assert!(matches!(errno, Errno::EPROTO | Errno::ENOTSUP), "{errno:?}");
    }
    // A server that speaks no TLS at all.
    let plain = Server::handling(|mut stream, _| {
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert_eq!(world.errno(&agent, get(format!("https://{}/", plain.at))).await, Errno::EPROTO);
}

#[tokio::test]
async fn another_address_is_tried_when_the_first_does_not_answer() {
    let server = Server::start(|_| fine("second"));
    // Nobody is at 127.0.0.9 with that port.
    let names = Names::new(&[("two.example", &[&["127.0.0.9", "127.0.0.1"]])]);
    let world = world_with(Limits::default(), &names, &Routes::default());
    let agent = world.agent(&["net.connect:127.0.0.0/8", "net.resolve:two.example"]).await;
    let answer = world.call(&agent, get(format!("http://two.example:{}/", server.at.port()))).await.unwrap();
    assert_eq!(&answer.body[..], b"second");
    // Both must be allowed, or neither is tried.
    world.set_grants(&agent, &["net.connect:127.0.0.1", "net.resolve:two.example"]);
    assert_eq!(
        world.errno(&agent, get(format!("http://two.example:{}/", server.at.port()))).await,
        Errno::EACCES
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn this_machine_by_its_name_is_reached_by_its_name_or_by_an_address_of_it() {
    let server = Server::start(|_| fine("home"));
    let names = Names::new(&[("localhost", &[&["8.8.8.8"]])]);
    let world = world(&names, &Routes::default());
    let port = server.at.port();
    let agent = world.agent(&[]).await;
    for (grant, host, reached) in [
        ("net.connect:127.0.0.1".to_owned(), "localhost", true),
        (format!("net.connect:localhost:{port}"), "LOCALHOST.", true),
        (format!("net.connect:localhost:{port}"), "127.0.0.1", false),
        ("net.connect:localhost:1".to_owned(), "localhost", false),
        ("net.connect:*".to_owned(), "localhost", false),
    ] {
        world.set_grants(&agent, &[&grant]);
        let answer = world.call(&agent, get(format!("http://{host}:{port}/"))).await;
        assert_eq!(answer.is_ok(), reached, "{grant} for {host}: {answer:?}");
    }
    assert!(names.asked().is_empty(), "nobody is asked where this machine is");
    assert_eq!(server.requests().len(), 2);
}
