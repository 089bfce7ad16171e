//! Calls and replies as bytes.

use std::fmt::Debug;

use bytes::{Buf, BytesMut};
use uos_proto::{
    AtOnce, CallInfo, Later, Perform, Performer, Request,
    v1::{call::Call, reply::Reply},
};

/// Sends a call over the wire and back, and looks under which number its reply goes.
pub(crate) struct Wire {
    pub(crate) sent: Call,
}

impl Performer for Wire {
    type Outcome = &'static CallInfo;
}

impl Wire {
    fn check<R>(self, request: &R) -> &'static CallInfo
    where
        R: Request + Default + PartialEq + Debug,
        R::Reply: Default + Into<Reply>,
    {
        let (mut call, mut answer) = (BytesMut::new(), BytesMut::new());
        self.sent.encode(&mut call);
        R::Reply::default().into().encode(&mut answer);
        for message in [&mut call, &mut answer] {
            // A key is the tag, and 2 for "a message of so many bytes follows".
            assert_eq!(varint(message), u64::from(R::INFO.number) << 3 | 2, "{}", R::INFO.name);
            assert_eq!(varint(message), message.len() as u64);
        }
        assert_eq!(&R::decode(call).unwrap(), request);
        assert!(answer.is_empty(), "an empty reply is empty on the wire");
        R::INFO
    }
}

impl<R> Perform<R, AtOnce> for Wire
where
    R: Request + Default + PartialEq + Debug,
    R::Reply: Default + Into<Reply>,
{
    fn perform(self, request: R) -> &'static CallInfo {
        self.check(&request)
    }
}

impl<R> Perform<R, Later> for Wire
where
    R: Request + Default + PartialEq + Debug,
    R::Reply: Default + Into<Reply>,
{
    fn perform(self, request: R) -> &'static CallInfo {
        self.check(&request)
    }
}

fn varint(from: &mut BytesMut) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let byte = from.get_u8();
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    value
}
