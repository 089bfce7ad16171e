//! What a handle allows. Rights are only ever taken away.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rights(u8);

impl Rights {
    /// Nothing but to look at the numbers and to close it.
    pub const NONE: Rights = Rights(0);
    /// Read or receive; map to read.
    pub const READ: Rights = Rights(1);
    /// Write or send; map to write.
    pub const WRITE: Rights = Rights(2);
    /// Make a second handle.
    pub const DUPLICATE: Rights = Rights(4);
    /// Pass it to another owner.
    pub const TRANSFER: Rights = Rights(8);
    /// End the object itself for everybody.
    pub const DESTROY: Rights = Rights(16);
    /// All of them.
    pub const ALL: Rights = Rights(31);

    const NAMES: [(Rights, &'static str); 5] = [
        (Rights::READ, "read"),
        (Rights::WRITE, "write"),
        (Rights::DUPLICATE, "duplicate"),
        (Rights::TRANSFER, "transfer"),
        (Rights::DESTROY, "destroy"),
    ];

    /// Whether all of these are among them.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those that are not among the others.
    #[must_use]
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
}

impl BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;

    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

/// Their names, as in "read, write".
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Rights::NAMES.iter().filter(|(right, _)| self.contains(*right)).map(|(_, name)| name);
        names
            .enumerate()
            .try_for_each(|(place, name)| write!(f, "{}{name}", if place > 0 { ", " } else { "" }))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Rights::NAMES.iter().filter(|(right, _)| self.contains(*right)).map(|(_, name)| name);
        f.debug_list().entries(names).finish()
    }
}
