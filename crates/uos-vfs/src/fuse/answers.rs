//! How requests are answered.

use super::shared::BLOCK;
use crate::{Error, Result, StatFs};
use fuser::{Errno, ReplyStatfs, ReplyXattr};

pub(super) fn errno(error: &Error) -> Errno {
    Errno::from_i32(error.errno())
}

/// What several steps come to, which `?` may leave.
pub(super) fn tried<T>(steps: impl FnOnce() -> Result<T>) -> Result<T> {
    steps()
}

/// Answers with what came of it, or its error, and waits a moment for what is asked next.
macro_rules! answer {
    ($export:ident, $reply:ident, $result:expr, $value:pat => $said:expr) => {{
        match $crate::fuse::answers::tried(|| $result) {
            Ok($value) => $said,
            Err(error) => $reply.error($crate::fuse::answers::errno(&error)),
        }
        $export.0.linger.answered();
    }};
}

pub(super) use answer;

/// Answers with a value, or with how long it is if nobody has room for it yet.
pub(super) fn sized(reply: ReplyXattr, value: &[u8], size: u32) {
    match size {
        0 => reply.size(value.len() as u32),
        size if value.len() > size as usize => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}

/// Of the directory of views there is nothing to tell.
pub(super) fn holding(reply: ReplyStatfs, stat: Option<&StatFs>) {
    let Some(stat) = stat else { return reply.statfs(0, 0, 0, 0, 0, BLOCK as u32, 255, BLOCK as u32) };
    let blocks = |bytes: u64| bytes.min(i64::MAX as u64) / BLOCK;
    let nodes = |nodes: u64| nodes.min(i64::MAX as u64);
    reply.statfs(
        blocks(stat.bytes_total),
        blocks(stat.bytes_free),
        blocks(stat.bytes_available),
        nodes(stat.nodes_total),
        nodes(stat.nodes_free),
        BLOCK as u32,
        stat.name_max,
        BLOCK as u32,
    );
}
