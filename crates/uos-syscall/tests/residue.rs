//! What has ended holds nothing of the host any more, though its record is kept.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, program, settled, until, wait, within};
use uos_proto::v1;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

// Alone in its file, because other tests beside it would have descriptors of their own.
#[test]
fn records_of_ended_programs_hold_no_descriptors_nor_does_a_kernel_that_has_gone() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let before = descriptors();
        let world = World::start();
        let init = world.kernel.init();
        // What the spawner keeps for good it makes at the first starts: of control groups, several.
        let mut first = Vec::new();
        for _ in 0..16 {
            first.push(world.call(&init, program("/usr/bin/sleep", &["1000"])).await.unwrap().pid);
        }
        for pid in first {
            world.call(&init, v1::KillProcess { pid, tree: true }).await.unwrap();
            wait(&world, &init, pid).await;
        }
        settled(descriptors).await;
        let running = descriptors();
        let mut pids = Vec::new();
        for _ in 0..50 {
            pids.push(world.call(&init, program("/usr/bin/printf", &["x"])).await.unwrap().pid);
        }
        for pid in &pids {
            wait(&world, &init, *pid).await;
        }
        until("the descriptors of 50 ended programs are back", || descriptors() <= running).await;
        for pid in pids {
            assert_eq!(common::output(&world, &init, pid).await, b"x", "what it wrote is still kept");
        }
        within(world.kernel.shut_down()).await;
        drop((world, init));
        until("the kernel's descriptors are back", || descriptors() == before).await;
    });
}
