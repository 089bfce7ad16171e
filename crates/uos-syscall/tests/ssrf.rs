//! However a URL spells it, and wherever an answer or a name leads: who is granted names reaches nothing that is not public.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;

use common::network::{Canary, Names, PUBLIC, Routes, Server, fine, get, redirect, world};
use uos_proto::v1;
use uos_syscall::{Cause, Errno, Error};

/// Every wildcard there is, and names that lead where they should not.
const GRANTS: &[&str] = &[
    "net.connect:*",
    "net.connect:*.example",
    "net.connect:evil.example",
    "net.connect:flip.example",
    "net.resolve:*",
];

/// A part of an address of IPv4 in every base.
fn bases(part: u32) -> [String; 3] {
    [format!("{part}"), format!("0{part:o}"), format!("0x{part:X}")]
}

/// All spellings of an address of IPv4 in one to four parts, each in every base.
fn v4_spellings(address: u32) -> Vec<String> {
    let mut all = Vec::new();
    for parts in 1..=4_u32 {
        let mut texts = vec![String::new()];
        for place in 0..parts {
            let part = match place + 1 == parts {
                // The last takes all that is left.
                true => address & (u32::MAX >> (8 * place)),
                false => address >> (24 - 8 * place) & 0xff,
            };
            let dot = if place == 0 { "" } else { "." };
            texts =
                texts.iter().flat_map(|text| bases(part).map(|part| format!("{text}{dot}{part}"))).collect();
        }
        all.extend(texts);
    }
    all
}

/// Hosts that lead to this machine, by number or by name.
fn hosts() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = v4_spellings(0x7f00_0001).into_iter().collect();
    for address in [0x7f01_0203, 0x7fff_fffe, 0] {
        all.extend(v4_spellings(address).into_iter().step_by(4));
    }
    all.extend(
        [
            "127.0.0.1.",
            "0x7f.1.",
            "0000000000000000000000177.0.0.1",
            "0x0000000000000000007f.1",
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "１２７.0.0.1",
            "127。0．0｡1",
            "①②⑦.0.0.1",
            "0X7F.0X0.0X0.0X1",
            "[::1]",
            "[0::1]",
            "[0:0:0:0:0:0:0:1]",
            "[0000:0000:0000:0000:0000:0000:0000:0001]",
            "[::0.0.0.1]",
            "[::]",
            "[0::0]",
            "[::0.0.0.0]",
            "[::ffff:127.0.0.1]",
            "[::FFFF:7F00:1]",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::ffff:0.0.0.0]",
            "[::127.0.0.1]",
            "[::7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::127.0.0.1]",
            "[2002:7f00:1::]",
            "[2002:7f00:1::7f00:1]",
            "[2001:0:7f00:1::1]",
            "[2001::80ff:fffe]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "169.254.169.254",
            "0xA9FEA9FE",
            "0251.0376.0251.0376",
            "2852039166",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "ＬＯＣＡＬＨＯＳＴ",
            "local%68ost",
            "evil.example",
            "EVIL.example.",
            "mapped.example",
            "compatible.example",
            "six.example",
            "both.example",
            "private.example",
            "metadata.example",
            "127.0.0.1.rebind.example",
        ]
        .map(str::to_owned),
    );
    all
}

/// Where the names of the table lead.
fn names() -> Names {
    Names::new(&[
        ("evil.example", &[&["127.0.0.1"]]),
        ("mapped.example", &[&["::ffff:127.0.0.1"]]),
        ("compatible.example", &[&["::127.0.0.1"]]),
        ("six.example", &[&["::1"]]),
        ("both.example", &[&["8.8.8.8", "127.0.0.1"]]),
        ("private.example", &[&["10.0.0.1"]]),
        ("metadata.example", &[&["169.254.169.254"]]),
        ("127.0.0.1.rebind.example", &[&["127.0.0.1"]]),
        ("flip.example", &[&["8.8.8.8"], &["127.0.0.1"]]),
        ("public.example", &[&["8.8.8.8"]]),
    ])
}

/// Ways to dress up a URL of a host, so that it looks like one of another or of none.
fn dressed(host: &str, port: u16) -> Vec<String> {
    vec![
        format!("https://{host}:{port}/"),
        format!("HTTP://{host}:{port}"),
        format!("http:{host}:{port}/"),
        format!("http:/{host}:{port}/"),
        format!("http:///{host}:{port}/"),
        format!("http:\\\\{host}:{port}\\"),
        format!(" \t\u{1}http://{host}:{port}/\n "),
        format!("ht\ntp://{host}\t:{port}/\r"),
        format!("http://{host}:0{port}/"),
        format!("http://public.example@{host}:{port}/"),
        format!("http://public.example:80@{host}:{port}/"),
        format!("http://public.example%40{host}:{port}/"),
        format!("http://{host}:{port}\\@public.example/"),
        format!("http://{host}:{port}/@public.example/"),
        format!("http://{host}:{port}?@public.example/"),
        format!("http://{host}:{port}#@public.example/"),
        format!("http://{host}:{port}/%0d%0aHost:%20public.example"),
        format!("http://@{host}:{port}/"),
        format!("http://:@{host}:{port}/"),
        format!("file://{host}:{port}/"),
        format!("gopher://{host}:{port}/"),
        format!("ws://{host}:{port}/"),
        format!("ftp://{host}:{port}/"),
        format!("//{host}:{port}/"),
    ]
}

fn table(port: u16) -> Vec<String> {
    let mut all: Vec<_> = hosts().iter().map(|host| format!("http://{host}:{port}/")).collect();
    for host in ["127.0.0.1", "[::1]", "localhost", "evil.example", "0x7f.1"] {
        all.extend(dressed(host, port));
    }
    all
}

/// A refusal must be for want of a right, or because the text is no URL that could be asked.
fn is_refusal(error: &Error) -> bool {
    match error.errno {
        Errno::EACCES => {
            matches!(error.cause.as_deref(), Some(Cause::Right(right)) if right.starts_with("net.connect:"))
        }
        errno => errno == Errno::EINVAL,
    }
}

#[tokio::test]
async fn no_spelling_reaches_this_machine() {
    let (canary, routes) = (Canary::new(), Routes::default());
    let world = world(&names(), &routes);
    let agent = world.agent(GRANTS).await;
    let table = table(canary.port);
    assert!(table.len() >= 300, "{} spellings", table.len());
    for url in &table {
        let error = world.call(&agent, get(url)).await.expect_err(url);
        assert!(is_refusal(&error), "{url}: {error}");
    }
    assert_eq!((canary.visits(), routes.dialled().len()), (0, 0));
    println!("{} spellings, 0 connections", table.len());
    world.kernel.shut_down().await;
}

/// The control: it is the rights that keep the canary safe, and not the table that misses it.
#[tokio::test]
async fn the_same_spellings_reach_this_machine_once_it_is_granted() {
    let (canary, routes) = (Canary::new(), Routes::default());
    let world = world(&names(), &routes);
    let agent = world
        .agent(&["net.connect:0.0.0.0/7", "net.connect:127.0.0.0/8", "net.connect:[::/64]", "net.resolve:*"])
        .await;
    let mut reached = 0;
    for host in hosts() {
        let request = v1::NetworkRequest {
            timeout_us: Some(2_000_000),
            ..get(format!("http://{host}:{}/", canary.port))
        };
        let answer = async {
            let call = world.call(&agent, request);
            tokio::pin!(call);
            loop {
                tokio::select! {
                    answer = &mut call => return answer,
                    () = tokio::time::sleep(std::time::Duration::from_millis(1)) => { canary.visits(); }
                }
            }
        };
        reached += usize::from(answer.await.is_ok_and(|answer| &answer.body[..] == b"canary"));
    }
    assert_eq!(canary.visits(), reached);
    // All but those that lead elsewhere, or that this machine has no route for.
    assert!(reached >= 150, "only {reached} reached the canary");
    println!("{reached} spellings reach the canary when it is granted");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn no_answer_leads_there_after_however_many_redirects() {
    let canary = Canary::new();
    let port = canary.port;
    let targets: Vec<String> = table(port);
    let all = targets.clone();
    // `/N/M` leads on N times, and then to the M-th target.
    let server = Server::start(move |request| {
        let path = request.split(' ').nth(1).unwrap();
        let numbers =
            path[1..].split_once('/').map(|(left, target)| (left.parse::<usize>(), target.parse::<usize>()));
        match numbers {
            Some((Ok(0), Ok(target))) => redirect(302, &all[target].replace(['\r', '\n', '\u{1}'], "")),
            Some((Ok(left), Ok(target))) => redirect(307, &format!("/{}/{target}", left - 1)),
            // `http:host/` is a path where it is said by a server of `http:`.
            _ => fine("public"),
        }
    });
    let routes = Routes::to(&server);
    let world = world(&names(), &routes);
    let agent = world.agent(GRANTS).await;
    let mut refused = 0;
    for (place, target) in targets.iter().enumerate() {
        let url = format!("http://public.example/{}/{place}", place % 10);
        match world.call(&agent, get(url)).await {
            Ok(answer) => {
                assert!(answer.url.starts_with("http://public.example/"), "{target}: {}", answer.url);
            }
            Err(error) => {
                let is_astray = matches!(error.cause.as_deref(), Some(Cause::Stage(stage)) if stage.starts_with("redirect by"));
                assert!(is_refusal(&error) || error.errno == Errno::EPROTO && is_astray, "{target}: {error}");
                refused += 1;
            }
        }
    }
    assert_eq!(canary.visits(), 0);
    assert!(routes.dialled().iter().all(|at| at.ip() == PUBLIC));
    assert!(server.requests().len() > targets.len());
    assert!(refused >= 300, "only {refused} led anywhere");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_name_that_turns_private_is_looked_up_once_and_refused_the_next_time() {
    let canary = Canary::new();
    let port = canary.port;
    let server = Server::start(move |request| match request.contains("/again") {
        true => redirect(302, &format!("http://flip.example:{port}/")),
        false => fine("public"),
    });
    let (names, routes) = (names(), Routes::to(&server));
    let world = world(&names, &routes);
    let agent = world.agent(GRANTS).await;
    let url = || format!("http://flip.example:{port}/");
    assert_eq!(&world.call(&agent, get(url())).await.unwrap().body[..], b"public");
    assert_eq!((names.asked().len(), routes.dialled().len()), (1, 1), "looked up once, connected to that");
    for _ in 0..10 {
        let error = world.call(&agent, get(url())).await.unwrap_err();
        assert_eq!(
            (error.errno, &*error.hint),
            (Errno::EACCES, &*format!("grant `net.connect:127.0.0.1:{port}`"))
        );
    }
    assert_eq!(routes.dialled().len(), 1);
    // The same within one call, between two hops.
    let (names, routes) = (self::names(), Routes::to(&server));
    let world = common::network::world(&names, &routes);
    let agent = world.agent(GRANTS).await;
    let error = world.call(&agent, get(format!("http://flip.example:{port}/again"))).await.unwrap_err();
    assert_eq!(error.errno, Errno::EACCES);
    assert_eq!((names.asked().len(), routes.dialled().len(), canary.visits()), (2, 1, 0));
    world.kernel.shut_down().await;
}
