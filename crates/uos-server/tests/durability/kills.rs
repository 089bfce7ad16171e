//! Kill -9 at random moments under traffic.

use crate::{
    desk::check_database,
    dice::{Dice, count},
    server::Server,
    traffic::Traffic,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_traffic_nothing_acknowledged_is_lost_and_nothing_is_half() {
    let kills = count("UOS_CAMPAIGN_SERVER_KILLS", 5);
    let mut dice = Dice::of_the_campaign("kills");
    let dir = tempfile::tempdir().expect("a directory can be made");
    let data = dir.path().join("data");
    let mut server = Server::start(&data);
    let mut traffic = Traffic::on(&server, dice.fork()).await;
    for _ in 0..kills {
        traffic.until_crash(server, Server::kill).await;
        check_database(&data).await;
        server = Server::start(&data);
        traffic.check(&server).await;
    }
    server.stop();
    println!("{kills} kills, {} acknowledged writes, 0 lost, 0 half", traffic.books.count());
}
