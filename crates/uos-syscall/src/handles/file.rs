//! An open file, as processes hold it.

use uos_ipc::Rights;
use uos_vfs::{Descriptor, VPath};

use super::object::Held;

/// All who hold it, by whichever handle, share its position.
#[derive(Clone)]
pub(crate) struct FileHandle {
    pub(crate) descriptor: Descriptor,
    /// Where it was found when it was opened.
    pub(crate) path: VPath,
}

impl Held for FileHandle {
    fn share(&self, _rights: Rights) -> Self {
        self.clone()
    }
}
