//! A call that waits holds no thread.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{World, settled, within};
use uos_proto::v1::{self, reply::Reply};

const READERS: u64 = 1_000;

/// Threads of this program.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

// Alone in its file, because other tests beside it would have threads of their own.
#[test]
fn a_thousand_processes_that_read_hold_no_thread_and_each_wakes_with_its_own_data() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Those of the pool that made the processes go as soon as they have nothing to do.
        .thread_keep_alive(Duration::from_millis(10))
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = Arc::new(World::start());
        let init = world.kernel.init();
        let mut pipes = Vec::new();
        for _ in 0..READERS {
            let reader = world.agent(&[]).await;
            let pipe = v1::CreatePipe { reader_pid: reader.pid().0, capacity: 4_096, ..Default::default() };
            pipes.push((reader, world.call(&init, pipe).await.unwrap().id));
        }
        settled(threads).await;
        let before = threads();

        let reads: Vec<_> = pipes
            .iter()
            .map(|(reader, id)| {
                let (world, reader, id) = (Arc::clone(&world), reader.clone(), *id);
                tokio::spawn(async move {
                    world.kernel.invoke(&reader, v1::ReadPipe { id, ..Default::default() }.into()).await
                })
            })
            .collect();
        // Each read is known to have begun once the runtime has polled as many tasks as there are.
        settled(|| tokio::runtime::Handle::current().metrics().num_alive_tasks()).await;
        let during = threads();
        println!("threads: {before} before, {during} while {READERS} processes wait in ReadPipe");
        assert!(during <= before, "{during} and not {before}");
        assert!(reads.iter().all(|read| !read.is_finished()));

        // In another order than they came in.
        for (_, id) in pipes.iter().rev() {
            let data = format!("for {id}").into();
            world.call(&init, v1::WritePipe { id: *id, data, timeout_us: None }).await.unwrap();
        }
        for (read, (_, id)) in reads.into_iter().zip(&pipes) {
            let Reply::ReadPipe(reply) = within(read).await.unwrap().unwrap() else {
                panic!("not its reply")
            };
            assert_eq!(&reply.data[..], format!("for {id}").as_bytes());
        }
        let after = threads();
        println!("threads: {after} after all have been woken");
        assert!(after <= before, "{after} and not {before}");
        within(world.kernel.shut_down()).await;
    });
}
