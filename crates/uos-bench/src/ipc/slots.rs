//! The shortest ways for short messages, from one producer to one consumer on the same thread.

use std::hint::black_box;

use iceoryx2::prelude::{NodeBuilder, ipc};
use uos_ipc::{Quota, Segments, loans, slots};

use super::{PAYLOAD, rounds, row};
use crate::{Result, report::Measurement};

pub(super) fn measure(quota: &Quota) -> Result<Vec<Measurement>> {
    Ok(vec![beside_rtrb(quota)?, beside_tokio(quota)?, beside_iceoryx2(quota)?])
}

/// Both look for nobody who sleeps; ours counts, and notices when the other side is gone.
fn beside_rtrb(quota: &Quota) -> Result<Measurement> {
    let (mut sender, mut receiver) = slots(1024, quota)?;
    let mut slot = [0; 64];
    let (mut producer, mut consumer) = rtrb::RingBuffer::<[u8; 64]>::new(1024);
    let times = rounds(
        20_000,
        || {
            sender.try_push(black_box(&PAYLOAD))?;
            receiver.try_pop_into(&mut slot)?;
            black_box(&mut slot);
            Ok(())
        },
        || {
            producer.push(*black_box(&PAYLOAD)).map_err(|_| "full")?;
            black_box(consumer.pop()?);
            Ok(())
        },
    )?;
    Ok(row("ring of 64 B slots, same thread", "rtrb", times, 1.0 / 1.3))
}

/// Both wake who sleeps.
fn beside_tokio(quota: &Quota) -> Result<Measurement> {
    let (mut sender, mut receiver) = slots(1024, quota)?;
    let mut slot = [0; 64];
    let (producer, mut consumer) = tokio::sync::mpsc::channel::<[u8; 64]>(1024);
    let times = rounds(
        20_000,
        || {
            sender.try_send(black_box(&PAYLOAD))?;
            receiver.try_recv_into(&mut slot)?;
            black_box(&mut slot);
            Ok(())
        },
        || {
            producer.try_send(*black_box(&PAYLOAD))?;
            black_box(consumer.try_recv()?);
            Ok(())
        },
    )?;
    Ok(row("the same, waking who sleeps", "tokio mpsc", times, 3.0))
}

/// A block is taken, 64 bytes are written to it, it is sent, received and given back.
fn beside_iceoryx2(quota: &Quota) -> Result<Measurement> {
    let (mut lender, end) = loans(64 << 10, 16, &Segments::new(quota))?;
    let mut borrower = end.open()?;
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = node
        .service_builder(&format!("uos-bench/{}", std::process::id()).as_str().try_into()?)
        .publish_subscribe::<[u8; 64]>()
        .open_or_create()?;
    let (publisher, subscriber) =
        (service.publisher_builder().create()?, service.subscriber_builder().create()?);
    let times = rounds(
        5_000,
        || {
            let mut loan = lender.loan(64 << 10)?;
            loan.write(0, black_box(&PAYLOAD))?;
            lender.send(loan)?;
            drop(black_box(borrower.try_recv()?));
            Ok(())
        },
        || {
            publisher.loan_uninit()?.write_payload(*black_box(&PAYLOAD)).send()?;
            drop(black_box(subscriber.receive()?));
            Ok(())
        },
    )?;
    Ok(row("a lent block there and back, same thread", "iceoryx2", times, 2.5))
}
