//! Permission bits, owners and times; and what a filesystem says of itself.

use uos_proto::{Right, v1};
use uos_vfs::{Kind, SetAttr, SetTime, Timestamp};

use super::files::bits;
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    perform::Syscall,
    target::{PathTarget, Scope, held},
};

/// The bits that lend an owner's rights.
const LENDING: u32 = 0o6000;

impl Syscall for v1::Chmod {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::ChmodReply, Error> {
        let mode = bits(Some(self.mode), 0)?;
        if mode & LENDING != 0 {
            return Err(Error::new(Errno::EPERM, "the bits 06000 lend an owner's rights, and are not given")
                .hint("nothing here runs by them; leave them out"));
        }
        change(&cx, &SetAttr { mode: Some(mode), ..SetAttr::default() })?;
        Ok(v1::ChmodReply {})
    }
}

/// Something that is to belong to somebody else.
pub(crate) struct Given(PathTarget);

impl Target for Given {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let decision = self.0.judge_path(right, &grants)?;
        held(&grants, Right::FsAdmin)?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.0.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.0.stopped_at_disk()
    }
}

impl Syscall for v1::Chown {
    type Target = Given;

    fn target(&self, scope: &Scope<'_>) -> Result<Given, Absent> {
        Ok(Given(scope.path(&self.path, &self.path_raw, !self.no_follow)?))
    }

    fn run(&self, cx: Cx<'_, &Given>) -> Result<v1::ChownReply, Error> {
        if self.uid.is_none() && self.gid.is_none() {
            return Err(Error::invalid("uid", "neither an owner nor a group is given"));
        }
        let (node, path) = (cx.target.0.node()?, cx.target.0.path());
        node.set_attr(cx.hand(), &SetAttr { uid: self.uid, gid: self.gid, ..SetAttr::default() })?;
        cx.tell_change(FileChange::Attributes, path, node.kind() == Kind::Directory);
        Ok(v1::ChownReply {})
    }
}

impl Syscall for v1::SetTimes {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, !self.no_follow)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::SetTimesReply, Error> {
        let time = |micros: Option<i64>| micros.map(|micros| SetTime::To(Timestamp::from_micros(micros)));
        let (accessed, modified) = match (self.accessed_us, self.modified_us) {
            (None, None) => (Some(SetTime::Now), Some(SetTime::Now)),
            (accessed, modified) => (time(accessed), time(modified)),
        };
        let now = change(&cx, &SetAttr { accessed, modified, ..SetAttr::default() })?;
        Ok(v1::SetTimesReply {
            accessed_us: accessed.map(|_| now.accessed.as_micros()),
            modified_us: modified.map(|_| now.modified.as_micros()),
        })
    }
}

fn change(cx: &Cx<'_, &PathTarget>, set: &SetAttr) -> Result<uos_vfs::Attr, Error> {
    let node = cx.target.node()?;
    let now = node.set_attr(cx.hand(), set)?;
    cx.tell_change(FileChange::Attributes, cx.target.path(), node.kind() == Kind::Directory);
    Ok(now)
}

impl Syscall for v1::Statfs {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::StatfsReply, Error> {
        let stat = cx.target.node()?.stat_fs()?;
        Ok(v1::StatfsReply {
            total_bytes: stat.bytes_total,
            free_bytes: stat.bytes_free,
            available_bytes: stat.bytes_available,
            total_nodes: stat.nodes_total,
            free_nodes: stat.nodes_free,
            block_bytes: stat.block_size,
            name_max_bytes: stat.name_max,
            read_only: stat.read_only,
        })
    }
}
