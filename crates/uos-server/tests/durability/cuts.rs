//! Power cuts under traffic, and the control that must lose.

use crate::{
    control::{Control, prepare, stored},
    desk::check_database,
    dice::{Dice, count},
    disk::Disk,
    server::Server,
    traffic::Traffic,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_nothing_acknowledged_is_lost_and_nothing_is_half() {
    let cuts = count("UOS_CAMPAIGN_POWER_CUTS", 3);
    let mut dice = Dice::of_the_campaign("power cuts");
    let disk = Disk::make();
    let data = disk.root().join("data");
    let mut server = Server::start(&data);
    let mut traffic = Traffic::on(&server, dice.fork()).await;
    for _ in 0..cuts {
        let power_cut = |server: Server| {
            server.freeze();
            disk.cut();
            server.kill();
            disk.restore();
        };
        traffic.until_crash(server, power_cut).await;
        check_database(&data).await;
        server = Server::start(&data);
        traffic.check(&server).await;
    }
    server.stop();
    println!("{cuts} power cuts, {} acknowledged writes, 0 lost, 0 half", traffic.books.count());
}

/// The same cuts, on a writer of which only one pragma differs. If it lost nothing without syncing, the cuts above would
/// show nothing either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_syncs_less_loses_what_it_acknowledged() {
    let cuts = count("UOS_CAMPAIGN_POWER_CUTS", 3);
    let mut dice = Dice::of_the_campaign("control");
    let disk = Disk::make();
    let (mut losing, mut lost, mut total) = (0, 0, 0);
    for synchronous in ["FULL", "NORMAL"] {
        let database = disk.root().join(synchronous);
        prepare(&database).await;
        for cut in 0..cuts {
            let control = Control::start(&database, synchronous);
            let reached = control.reach(20 + dice.below(200));
            control.freeze();
            disk.cut();
            let last = control.kill().unwrap_or(reached);
            disk.restore();
            let stored = stored(&database).await;
            if synchronous == "FULL" {
                assert!(
                    stored == last || stored == last + 1,
                    "FULL lost in cut {cut}: {last} acknowledged, {stored} there"
                );
            } else if stored < last {
                losing += 1;
                lost += last - stored;
            }
            total += 1;
        }
    }
    println!(
        "control: {total} power cuts; FULL lost nothing, NORMAL lost {lost} acknowledged writes in {losing} of {cuts} cuts"
    );
    assert!(losing > 0, "the control lost nothing: these power cuts can't be seen, and prove nothing");
}
