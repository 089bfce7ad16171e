//! Who asks, and what POSIX lets them do: the one place where mode bits are read.

use crate::{Account, Attr, Error, Kind, Result, SetAttr, SetTime};
use std::borrow::Cow;
use std::ops::BitOr;

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const GROUP_EXECUTES: u32 = 0o0010;
const ANY_EXECUTES: u32 = 0o0111;

/// Who asks for an operation. It goes with every operation that acts on a name or on attributes, as
/// there judging and doing have to be one; an open file was judged when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user. User 0 may do everything.
    pub uid: u32,
    /// The group that new nodes get.
    pub gid: u32,
    /// The other groups.
    pub groups: Cow<'static, [u32]>,
    /// Who decides whether the caller may.
    pub judged: Judged,
    /// What the caller is known by to those who watch. It means nothing to a filesystem.
    pub tag: u64,
    /// Who pays for what the caller makes, where that takes memory; nobody if none is named.
    pub account: Option<Account>,
}

/// Who decides whether a caller may do what it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Judged {
    /// The filesystem, by mode bits and owners.
    #[default]
    Here,
    /// Somebody has before: a kernel by its own rights, or the host's on the other side of FUSE. The
    /// user and the group then only say whom new nodes belong to.
    Before,
}

impl Caller {
    /// User 0 of group 0, who may do everything.
    pub const ROOT: Caller =
        Caller { uid: 0, gid: 0, groups: Cow::Borrowed(&[]), judged: Judged::Here, tag: 0, account: None };

    /// A user with one group, judged by the filesystem.
    pub const fn user(uid: u32, gid: u32) -> Self {
        Caller { uid, gid, groups: Cow::Borrowed(&[]), judged: Judged::Here, tag: 0, account: None }
    }

    /// The same one, who has what it makes paid for.
    #[must_use]
    pub fn paid_by(self, account: Option<Account>) -> Self {
        Caller { account, ..self }
    }

    /// The same one, with these other groups.
    #[must_use]
    pub fn with_groups(self, groups: impl Into<Cow<'static, [u32]>>) -> Self {
        Caller { groups: groups.into(), ..self }
    }

    /// The same one, judged elsewhere.
    #[must_use]
    pub fn judged_before(self) -> Self {
        Caller { judged: Judged::Before, ..self }
    }

    /// True if no mode bits hold it back.
    #[inline]
    pub fn is_privileged(&self) -> bool {
        self.uid == 0 || self.judged == Judged::Before
    }

    /// True if it belongs to the group.
    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// True if it may act as the owner of what belongs to `uid`.
    pub fn owns(&self, uid: u32) -> bool {
        self.uid == uid || self.is_privileged()
    }

    /// Whether it may do all of `want` with a node.
    ///
    /// # Errors
    /// [`Error::AccessDenied`].
    #[inline]
    pub fn check(&self, node: Owner, want: Want) -> Result<()> {
        if self.is_privileged() && (!want.includes(Want::EXECUTE) || node.can_be_executed()) {
            return Ok(());
        }
        let bits = match () {
            () if self.uid == node.uid => node.mode >> 6,
            () if self.is_in(node.gid) => node.mode >> 3,
            () => node.mode,
        };
        if !self.is_privileged() && bits & want.0 == want.0 { Ok(()) } else { Err(Error::AccessDenied) }
    }

    /// Whether it may take the entry of a node of `victim` out of the directory: the sticky bit there
    /// keeps all but three people from it. That it may write to the directory is asked before.
    ///
    /// # Errors
    /// [`Error::NotPermitted`].
    pub fn check_sticky(&self, dir: Owner, victim: u32) -> Result<()> {
        let held = dir.mode & STICKY != 0 && !self.owns(victim) && !self.owns(dir.uid);
        if held { Err(Error::NotPermitted) } else { Ok(()) }
    }

    /// What a node gets that it makes in a directory: a directory with the set-group-id bit hands down
    /// its group, and to directories the bit too.
    pub fn owner_of_new(&self, dir: Owner, kind: Kind, mode: u32) -> Owner {
        // As mkdir(2) has it, a directory gets the bits that lend rights from above or by chmod alone.
        let mut mode = mode & if kind == Kind::Directory { 0o1777 } else { 0o7777 };
        let mut gid = self.gid;
        if dir.mode & SET_GID != 0 {
            gid = dir.gid;
            if kind == Kind::Directory {
                mode |= SET_GID;
            } else if mode & GROUP_EXECUTES != 0 && !self.is_in(gid) && !self.is_privileged() {
                mode &= !SET_GID;
            }
        }
        if kind == Kind::Symlink {
            // Links carry no permissions of their own.
            mode = 0o777;
        }
        Owner { uid: self.uid, gid, mode, kind }
    }

    /// The mode of a file when it has been written to by somebody without privileges, or given away by
    /// anybody: the bits that lend rights are gone. Without execution the set-group-id bit means something
    /// else, and stays if the group is the caller's.
    pub fn mode_once_written(&self, node: Owner) -> u32 {
        if node.kind == Kind::Directory {
            return node.mode;
        }
        let keeps_group = node.mode & GROUP_EXECUTES == 0 && (self.is_privileged() || self.is_in(node.gid));
        node.mode & !(SET_UID | if keeps_group { 0 } else { SET_GID })
    }

    /// Judges a change of attributes as a whole, and gives owner, group and mode as they are after it.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for what is only for the owner or user 0, [`Error::AccessDenied`] for
    /// what mode bits deny, and what no attribute can be set to.
    pub fn judge_change(&self, now: Owner, set: &SetAttr) -> Result<Owner> {
        set.check(now.kind)?;
        let privileged = self.is_privileged();
        let mut then = now;
        if set.size.is_some() {
            self.check(now, Want::WRITE)?;
            if !privileged {
                then.mode = self.mode_once_written(now);
            }
        }
        if let Some(uid) = set.uid {
            if !privileged && (self.uid != now.uid || uid != now.uid) {
                return Err(Error::NotPermitted);
            }
            then.uid = uid;
        }
        if let Some(gid) = set.gid {
            if !privileged && (self.uid != now.uid || gid != now.gid && !self.is_in(gid)) {
                return Err(Error::NotPermitted);
            }
            then.gid = gid;
        }
        if (set.uid.is_some() || set.gid.is_some()) && now.kind != Kind::Directory {
            // Whoever gets it did not ask to lend rights by it; not even user 0 hands those on.
            then.mode = self.mode_once_written(now);
        }
        if let Some(mode) = set.mode {
            if !self.owns(now.uid) {
                return Err(Error::NotPermitted);
            }
            then.mode = mode & 0o7777;
            if !privileged && !self.is_in(then.gid) {
                then.mode &= !SET_GID;
            }
        }
        match (set.accessed, set.modified) {
            (None, None) => {}
            (Some(SetTime::Now), Some(SetTime::Now)) if !self.owns(now.uid) => {
                self.check(now, Want::WRITE)?;
            }
            _ if !self.owns(now.uid) => return Err(Error::NotPermitted),
            _ => {}
        }
        Ok(then)
    }
}

/// What somebody wants to do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want(u32);

impl Want {
    /// Read a file, or list a directory.
    pub const READ: Want = Want(4);
    /// Write to a file, or change the entries of a directory.
    pub const WRITE: Want = Want(2);
    /// Execute a file.
    pub const EXECUTE: Want = Want(1);
    /// Look up names in a directory: the same bit.
    pub const SEARCH: Want = Want(1);

    /// True if all of `other` is wanted.
    pub fn includes(self, other: Want) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Want {
    type Output = Want;

    fn bitor(self, other: Want) -> Want {
        Want(self.0 | other.0)
    }
}

/// Of a node, what decides who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// The twelve permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
}

impl Owner {
    fn can_be_executed(self) -> bool {
        self.kind == Kind::Directory || self.mode & ANY_EXECUTES != 0
    }
}

impl From<&Attr> for Owner {
    fn from(attr: &Attr) -> Self {
        Owner { uid: attr.uid, gid: attr.gid, mode: attr.mode, kind: attr.kind }
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Owner, Want};
    use crate::{Error, Kind, SetAttr, SetTime, Timestamp};

    const FILE: Owner = Owner { uid: 10, gid: 20, mode: 0o640, kind: Kind::File };

    #[test]
    fn the_first_class_that_fits_decides() {
        let odd = Owner { mode: 0o077, ..FILE };
        assert_eq!(Caller::user(10, 20).check(odd, Want::READ), Err(Error::AccessDenied));
        assert_eq!(Caller::user(11, 20).check(odd, Want::READ | Want::WRITE), Ok(()));
        let member = Caller::user(11, 1).with_groups(vec![20]);
        assert_eq!(member.check(FILE, Want::READ), Ok(()));
        assert_eq!(member.check(FILE, Want::WRITE), Err(Error::AccessDenied));
        assert_eq!(Caller::user(11, 1).check(FILE, Want::READ), Err(Error::AccessDenied));
    }

    #[test]
    fn user_0_executes_what_somebody_may_execute() {
        assert_eq!(Caller::ROOT.check(FILE, Want::READ | Want::WRITE), Ok(()));
        assert_eq!(Caller::ROOT.check(FILE, Want::EXECUTE), Err(Error::AccessDenied));
        assert_eq!(Caller::ROOT.check(Owner { mode: 0o001, ..FILE }, Want::EXECUTE), Ok(()));
        assert_eq!(
            Caller::ROOT.check(Owner { mode: 0, kind: Kind::Directory, ..FILE }, Want::SEARCH),
            Ok(())
        );
    }

    #[test]
    fn giving_away_takes_privilege_and_the_lent_rights() {
        let lends = Owner { mode: 0o6755, ..FILE };
        let give = SetAttr { uid: Some(11), ..SetAttr::default() };
        assert_eq!(Caller::user(10, 20).judge_change(lends, &give), Err(Error::NotPermitted));
        let given = Caller::ROOT.judge_change(lends, &give).unwrap();
        assert_eq!((given.uid, given.gid, given.mode), (11, 20, 0o755));
        let group = SetAttr { gid: Some(30), ..SetAttr::default() };
        assert_eq!(Caller::user(10, 20).judge_change(lends, &group), Err(Error::NotPermitted));
        let member = Caller::user(10, 20).with_groups(vec![30]);
        assert_eq!(member.judge_change(lends, &group).unwrap().mode, 0o755);
    }

    #[test]
    fn times_are_touched_by_writers_and_set_by_owners() {
        let open = Owner { mode: 0o666, ..FILE };
        let stranger = Caller::user(99, 99);
        let now = Some(SetTime::Now);
        let touch = SetAttr { accessed: now, modified: now, ..SetAttr::default() };
        assert!(stranger.judge_change(open, &touch).is_ok());
        assert_eq!(stranger.judge_change(FILE, &touch), Err(Error::AccessDenied));
        let half = SetAttr { accessed: now, ..SetAttr::default() };
        assert_eq!(stranger.judge_change(open, &half), Err(Error::NotPermitted));
        let set = SetAttr { modified: Some(Timestamp::default().into()), ..SetAttr::default() };
        assert_eq!(stranger.judge_change(open, &set), Err(Error::NotPermitted));
        assert!(Caller::user(10, 1).judge_change(FILE, &set).is_ok());
    }
}
