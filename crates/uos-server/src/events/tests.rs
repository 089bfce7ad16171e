use super::{Audience, EVENTS, Hub, News, Next};

fn news(n: u64) -> News {
    News::Registry { change: "put", id: n.to_string() }
}

fn seqs(next: Next) -> Vec<u64> {
    match next {
        Next::Entries(entries) => entries.iter().map(|entry| entry.seq).collect(),
        Next::Nothing => Vec::new(),
        Next::Gone(_) => panic!("it should be kept"),
    }
}

#[test]
fn who_comes_back_gets_exactly_what_it_missed() {
    let hub = Hub::new("e".into());
    (1..=10).for_each(|n| hub.tell(Audience::Operator, &news(n)));
    assert_eq!(seqs(hub.after(0, 100)), (1..=10).collect::<Vec<_>>());
    assert_eq!(seqs(hub.after(7, 2)), [8, 9]);
    assert_eq!(seqs(hub.after(10, 2)), [] as [u64; 0]);
    assert!(matches!(hub.after(11, 2), Next::Gone(10)), "a number that was never given");
    assert!(matches!(hub.after(u64::MAX, 2), Next::Gone(10)));
}

#[test]
fn what_is_kept_is_bounded_by_count_and_by_bytes() {
    let hub = Hub::new("e".into());
    let many = EVENTS as u64 + 10;
    (1..=many).for_each(|n| hub.tell(Audience::Operator, &news(n)));
    assert!(matches!(hub.after(9, 1), Next::Gone(newest) if newest == many));
    assert_eq!(seqs(hub.after(10, 1)), [11]);
    let large = News::Registry { change: "put", id: "x".repeat(5 << 20) };
    hub.tell(Audience::Operator, &large);
    hub.tell(Audience::Operator, &large);
    assert_eq!(seqs(hub.after(many + 1, 5)), [many + 2], "two such are more than is kept");
    assert!(matches!(hub.after(many, 1), Next::Gone(_)));
}

#[test]
fn a_frame_is_one_object_with_its_place_in_it() {
    let frame: serde_json::Value = serde_json::from_str(&news(1).frame("a\"b", 7)).unwrap();
    assert_eq!(
        frame,
        serde_json::json!({ "epoch": "a\"b", "seq": 7, "type": "registry", "change": "put", "id": "1" })
    );
}
