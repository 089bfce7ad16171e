//! What one caller may pile up is bounded, and the bound is named.

use bytes::Bytes;
use uos_proto::v1::{self, CreateProcessRequest};
use uos_syscall::{Cause, Errno, Error, Kernel, namespace};

fn kernel() -> Kernel {
    let mounts = namespace::standard(namespace::Capacity::default()).expect("the standard namespace mounts");
    let spawner = uos_proc::FakeSpawner::new(|_| Ok(uos_proc::Script::new()));
    Kernel::builder(mounts, spawner).start().expect("a kernel starts")
}

fn limit(error: &Error) -> Option<&'static str> {
    match error.cause.as_deref() {
        Some(Cause::Limit { name, .. }) => Some(name),
        _ => None,
    }
}

/// A family as deep as a client likes would cost every look at kinship that many steps, and its end a stack that deep.
#[tokio::test]
async fn a_family_has_so_many_generations_and_ends_at_once() {
    let kernel = kernel();
    let mut caller = kernel.init();
    let mut generations = 0;
    let refused = loop {
        let request = CreateProcessRequest { inherit_grants: true, ..Default::default() };
        match kernel.create_process(&caller, request).await {
            Ok(made) => caller = kernel.by_token(&made.token).unwrap(),
            Err(error) => break error,
        }
        generations += 1;
        assert!(generations < 1_000, "there is no bound");
    };
    assert_eq!((refused.errno, limit(&refused)), (Errno::EAGAIN, Some("process_depth")));
    kernel.shut_down().await;
    assert_eq!(kernel.in_use().processes, 1);
}

#[tokio::test]
async fn a_process_gets_so_many_grants_by_name() {
    let kernel = kernel();
    let grants = (0..1_000).map(|number| format!("fs.read:/home/{number}")).collect();
    let request = CreateProcessRequest { grants, ..Default::default() };
    let refused = kernel.create_process(&kernel.init(), request).await.unwrap_err();
    assert_eq!((refused.errno, limit(&refused)), (Errno::E2BIG, Some("grants")));
    assert_eq!(kernel.in_use().processes, 1);
}

/// A message that is small on the wire must not become large here before it is refused.
#[tokio::test]
async fn arguments_and_environment_are_counted_before_they_are_copied() {
    let kernel = kernel();
    let many = vec![String::new(); 300_000];
    let spawn = v1::SpawnProcess { program: "/usr/bin/env".into(), args: many.clone(), ..Default::default() };
    let raw = v1::SpawnProcess { args_raw: vec![Bytes::new(); 300_000], args: vec![], ..spawn.clone() };
    let env = v1::SpawnProcess { args: vec![], env: vec!["A=B".into(); 300_000], ..spawn.clone() };
    for spawn in [spawn, raw, env] {
        let refused = kernel.invoke(&kernel.init(), spawn.into()).await.unwrap_err();
        assert_eq!((refused.errno, limit(&refused)), (Errno::E2BIG, Some("argument_bytes")));
    }
    let request = CreateProcessRequest { args: many, ..Default::default() };
    let refused = kernel.create_process(&kernel.init(), request).await.unwrap_err();
    assert_eq!((refused.errno, limit(&refused)), (Errno::E2BIG, Some("argument_bytes")));
    assert_eq!(kernel.in_use().processes, 1);
}
