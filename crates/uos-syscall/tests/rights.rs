//! Rights against a naive model of them: the kernel and the model agree on every verdict.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
#[path = "common/pattern.rs"]
mod pattern;

use common::{World, exists, read, texts, write};
use pattern::matches;
use proptest::prelude::*;
use uos_proto::v1::{CreateProcessRequest, SandboxLevel, call::Call};
use uos_syscall::{Caller, Errno};

/// A grant as the model has it: the words before and after the colon.
type Grant = (&'static str, String);

fn allowed(grants: &[Grant], right: &str, path: &str) -> bool {
    grants.iter().any(|(of, pattern)| *of == right && matches(pattern, path))
}

/// Where a path leads when there are no links, as text, and what it enters and leaves again on the way.
fn canonical(path: &str) -> (String, Vec<String>) {
    let mut names: Vec<&str> = Vec::new();
    let mut left = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                if !names.is_empty() {
                    left.push(format!("/{}", names.join("/")));
                }
                names.pop();
            }
            name => names.push(name),
        }
    }
    (format!("/{}", names.join("/")), left)
}

/// Somebody in the model. The place in the list names it.
struct Known {
    caller: Caller,
    grants: Vec<Grant>,
}

#[derive(Clone, Debug)]
enum Step {
    /// This one makes a child that is to have these.
    Beget(usize, Vec<Grant>),
    /// This one makes a child that is to have all it has.
    Inherit(usize),
    /// The operator sets what this one has.
    Set(usize, Vec<Grant>),
    /// This one makes a call.
    Call(usize, Act, String),
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Read,
    Write,
    Exists,
}

fn pattern() -> impl Strategy<Value = String> {
    let component =
        prop_oneof![4 => "[ab]", 1 => "[ab]{2}", 1 => Just("*".to_owned()), 1 => "[ab]\\*", 1 => "\\*[ab]"];
    (prop::collection::vec(component, 0..4), any::<bool>()).prop_map(|(components, below)| {
        let mut text: String = components.iter().map(|component| format!("/{component}")).collect();
        if below {
            text.push_str("/**");
        }
        // All that happens does so in /home, where there is room for it.
        format!("/home{text}")
    })
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let right = prop_oneof![Just("fs.read"), Just("fs.write")];
    prop::collection::vec((right, pattern()), 0..4)
}

fn path() -> impl Strategy<Value = String> {
    let name =
        prop_oneof![6 => "[ab]", 2 => "[ab]{2}", 1 => Just("..".to_owned()), 1 => Just(".".to_owned())];
    prop::collection::vec(name, 0..5).prop_map(|names| format!("/home/{}", names.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..6_usize;
    let act = prop_oneof![Just(Act::Read), Just(Act::Write), Just(Act::Exists)];
    prop_oneof![
        2 => (who.clone(), grants()).prop_map(|(who, grants)| Step::Beget(who, grants)),
        1 => who.clone().prop_map(Step::Inherit),
        2 => (who.clone(), grants()).prop_map(|(who, grants)| Step::Set(who, grants)),
        8 => (who, act, path()).prop_map(|(who, act, path)| Step::Call(who, act, path)),
    ]
}

/// Every path that short names from the alphabet can make, to compare what two may reach.
fn small_paths() -> Vec<String> {
    let names = ["a", "b", "ab", "bb"];
    let mut paths = vec!["/home".to_owned()];
    for depth in 0..3 {
        let longer = paths.iter().filter(|path| path.matches('/').count() == depth + 1);
        let more: Vec<_> = longer.flat_map(|path| names.map(|name| format!("{path}/{name}"))).collect();
        paths.extend(more);
    }
    paths
}

/// Makes a child of one. What it may do is never more than what its maker may.
async fn beget(world: &World, known: &mut Vec<Known>, who: usize, asked: Option<Vec<Grant>>) {
    let maker = &known[who];
    let given = asked.clone().unwrap_or_default();
    let written: Vec<String> = given.iter().map(|(right, pattern)| format!("{right}:{pattern}")).collect();
    let request = CreateProcessRequest {
        grants: texts(&written.iter().map(String::as_str).chain(["proc.spawn:/**"]).collect::<Vec<_>>()),
        inherit_grants: asked.is_none(),
        sandbox_level: SandboxLevel::Minimal.into(),
        ..Default::default()
    };
    let reach = |grants: &[Grant]| -> Vec<(usize, bool, bool)> {
        let paths = small_paths();
        let of = |(place, path): (usize, &String)| {
            (place, allowed(grants, "fs.read", path), allowed(grants, "fs.write", path))
        };
        paths.iter().enumerate().map(of).collect()
    };
    let makers = reach(&maker.grants);
    let childs = reach(&given);
    let within = childs.iter().zip(&makers).all(|(child, maker)| child.1 <= maker.1 && child.2 <= maker.2);
    match world.kernel.create_process(&maker.caller, request).await {
        Ok(made) => {
            assert!(within, "{given:?} was given by one who has {:?}", maker.grants);
            let grants = if asked.is_none() { maker.grants.clone() } else { given };
            known.push(Known { caller: world.kernel.by_token(&made.token).unwrap(), grants });
        }
        Err(error) => {
            assert_eq!(error.errno, Errno::EPERM);
            // The kernel covers a grant by one grant, so it may refuse what two together have, but nothing that one has.
            let has = |grant: &Grant| {
                maker.grants.contains(grant) || maker.grants.contains(&(grant.0, "/home/**".into()))
            };
            assert!(!given.iter().all(has), "{given:?} was refused by one who has {:?}", maker.grants);
        }
    }
}

async fn compare(world: &World, known: &Known, act: Act, path: &str) {
    let (right, call): (_, Call) = match act {
        Act::Read => ("fs.read", read(path).into()),
        Act::Write => ("fs.write", write(path, "x").into()),
        Act::Exists => ("fs.read", exists(path).into()),
    };
    let result = world.kernel.invoke(&known.caller, call).await;
    let refused = result.err().filter(|error| error.errno == Errno::EACCES);
    let (canonical, left) = canonical(path);
    let may_see =
        |path: &String| allowed(&known.grants, right, path) || allowed(&known.grants, "fs.read", path);
    let named = match left.iter().find(|path| !may_see(path)) {
        _ if !allowed(&known.grants, right, &canonical) => Some(&canonical),
        foreign => foreign,
    };
    assert_eq!(refused.is_none(), named.is_none(), "{act:?} {path} by one who has {:?}", known.grants);
    if let Some(error) = refused {
        assert_eq!(Some(error.hint), named.map(|path| format!("grant `{right}:{path}`").into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_are_those_of_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::start();
            let all = vec![("fs.read", "/home/**".to_owned()), ("fs.write", "/home/**".to_owned())];
            let first = world.agent(&["fs.read:/home/**", "fs.write:/home/**", "proc.spawn:/**"]).await;
            let mut known = vec![Known { caller: first, grants: all }];
            for step in steps {
                match step {
                    Step::Beget(who, grants) => {
                        let who = who % known.len();
                        beget(&world, &mut known, who, Some(grants)).await;
                    }
                    Step::Inherit(who) => {
                        let who = who % known.len();
                        beget(&world, &mut known, who, None).await;
                    }
                    Step::Set(who, grants) => {
                        let who = who % known.len();
                        let written: Vec<String> =
                            grants.iter().map(|(right, pattern)| format!("{right}:{pattern}")).collect();
                        let mut written: Vec<&str> = written.iter().map(String::as_str).collect();
                        written.push("proc.spawn:/**");
                        world.set_grants(&known[who].caller, &written);
                        known[who].grants = grants;
                    }
                    Step::Call(who, act, path) => compare(&world, &known[who % known.len()], act, &path).await,
                }
            }
        });
    }
}
