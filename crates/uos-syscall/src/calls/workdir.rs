//! The working directory: where a process's relative paths start.

use bytes::Bytes;
use uos_proto::v1;
use uos_vfs::{Kind, VPath};

use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    perform::Syscall,
    target::{PathTarget, Scope, System},
};

impl Syscall for v1::GetWorkingDirectory {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetWorkingDirectoryReply, Error> {
        let (path, path_raw) = both(&cx.caller().cwd());
        Ok(v1::GetWorkingDirectoryReply { path, path_raw })
    }
}

impl Syscall for v1::SetWorkingDirectory {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::SetWorkingDirectoryReply, Error> {
        if cx.target.node()?.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        cx.caller().set_cwd(cx.target.path().clone());
        let (path, path_raw) = both(cx.target.path());
        Ok(v1::SetWorkingDirectoryReply { path, path_raw })
    }
}

/// A path as text, and as bytes where the text is not exact.
pub(super) fn both(path: &VPath) -> (String, Bytes) {
    text_and_bytes(path.as_bytes())
}

pub(super) fn text_and_bytes(bytes: &[u8]) -> (String, Bytes) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), Bytes::new()),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), bytes.to_vec().into()),
    }
}
