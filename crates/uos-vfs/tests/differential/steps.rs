//! What is done, and by whom.

use proptest::prelude::*;
use uos_vfs::{Allocate, Caller, Rename, SetXattr};

/// Who there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum People {
    /// Who runs the test.
    Me,
    Ada,
    /// In Ada's group too.
    Bob,
}

impl People {
    pub(crate) fn caller(self) -> Caller {
        match self {
            People::Me => {
                Caller::user(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
            }
            People::Ada => Caller::user(1001, 101),
            People::Bob => Caller::user(1002, 102).with_groups(vec![101]),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Makes the root directory one's own.
    Own,
    Create(String, u32),
    Write(String, usize),
    Append(String, usize),
    WriteAt(String, u64, usize),
    Truncate(String, u64),
    Range(String, u64, u64, Allocate),
    Read(String),
    Mkdir(String, u32),
    Rmdir(String),
    Unlink(String),
    Rename(String, String, Rename),
    Symlink(String, String),
    ReadLink(String),
    Link(String, String),
    Mkfifo(String, u32),
    Stat(String, bool),
    List(String),
    Chmod(String, u32),
    Chown(String, Option<u32>, Option<u32>),
    /// Both times, to now or to a moment.
    Times(String, bool),
    SetXattr(String, String, usize, SetXattr),
    Xattr(String, String),
    RemoveXattr(String, String),
    ListXattrs(String),
}

/// Paths of all shapes: few names, so that they meet.
fn path() -> impl Strategy<Value = String> {
    let name = || {
        prop_oneof![
            20 => "[abc]".prop_map(String::from),
            2 => Just(".".to_owned()),
            2 => Just("..".to_owned()),
            1 => prop_oneof![Just("x".repeat(255)), Just("x".repeat(256))],
        ]
    };
    let slash = || prop_oneof![9 => Just("/"), 1 => Just("//")];
    let lead = prop_oneof![2 => Just(""), 2 => Just("/")];
    let trail = prop_oneof![12 => Just(""), 2 => Just("/"), 1 => Just("/.")];
    (lead, name(), prop::collection::vec((slash(), name()), 0..4), trail).prop_map(
        |(lead, first, rest, trail)| {
            let rest: String = rest.into_iter().map(|(slash, name)| format!("{slash}{name}")).collect();
            format!("{lead}{first}{rest}{trail}")
        },
    )
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..40usize, 1 => 16_370..16_400usize, 1 => 40_000..70_000usize]
}

fn how() -> impl Strategy<Value = Rename> {
    prop_oneof![4 => Just(Rename::Replace), 1 => Just(Rename::NoReplace), 2 => Just(Rename::Exchange)]
}

fn range() -> impl Strategy<Value = Allocate> {
    prop::sample::select(vec![Allocate::Reserve, Allocate::ReserveKeepingLength, Allocate::Punch])
}

pub(crate) fn shape_step() -> impl Strategy<Value = Step> {
    let mode = || prop::sample::select(vec![0o755u32, 0o644, 0o700, 0o1777]);
    let set = prop::sample::select(vec![SetXattr::Any, SetXattr::New, SetXattr::Replace]);
    let xattr = || prop::sample::select(vec!["user.a".to_owned(), "user.b".to_owned()]);
    prop_oneof![
        3 => (path(), mode()).prop_map(|(at, mode)| Step::Create(at, mode)),
        2 => (path(), size()).prop_map(|(at, len)| Step::Write(at, len)),
        1 => (path(), size()).prop_map(|(at, len)| Step::Append(at, len)),
        2 => (path(), size(), size()).prop_map(|(at, from, len)| Step::WriteAt(at, from as u64, len)),
        2 => (path(), size()).prop_map(|(at, len)| Step::Truncate(at, len as u64)),
        1 => (path(), size(), size(), range()).prop_map(|(at, from, len, how)| Step::Range(at, from as u64, len as u64, how)),
        2 => path().prop_map(Step::Read),
        6 => (path(), mode()).prop_map(|(at, mode)| Step::Mkdir(at, mode)),
        3 => path().prop_map(Step::Rmdir),
        3 => path().prop_map(Step::Unlink),
        8 => (path(), path(), how()).prop_map(|(from, to, how)| Step::Rename(from, to, how)),
        4 => (path(), path()).prop_map(|(to, at)| Step::Symlink(to, at)),
        1 => Just(Step::Symlink(String::new(), "a".to_owned())),
        1 => path().prop_map(Step::ReadLink),
        3 => (path(), path()).prop_map(|(from, to)| Step::Link(from, to)),
        1 => (path(), mode()).prop_map(|(at, mode)| Step::Mkfifo(at, mode)),
        3 => (path(), any::<bool>()).prop_map(|(at, follow)| Step::Stat(at, follow)),
        1 => path().prop_map(Step::List),
        1 => (path(), mode()).prop_map(|(at, mode)| Step::Chmod(at, mode)),
        1 => (path(), any::<bool>()).prop_map(|(at, now)| Step::Times(at, now)),
        1 => (path(), xattr(), 0..30usize, set).prop_map(|(at, name, len, how)| Step::SetXattr(at, name, len, how)),
        1 => (path(), xattr()).prop_map(|(at, name)| Step::Xattr(at, name)),
        1 => (path(), xattr()).prop_map(|(at, name)| Step::RemoveXattr(at, name)),
        1 => path().prop_map(Step::ListXattrs),
    ]
}

/// Plain paths without links, and all that modes and owners can get up to.
pub(crate) fn rights_step() -> impl Strategy<Value = (People, Step)> {
    let path = || prop_oneof![3 => "[ab]", 4 => "[ab]/[ab]", 1 => "[ab]/[ab]/[ab]"];
    let mode = || {
        prop::sample::select(vec![
            0o777u32, 0o777, 0o775, 0o755, 0o700, 0o750, 0o500, 0o300, 0o070, 0o007, 0o1777, 0o1775, 0o2777,
            0o2770, 0o6777, 0o2666, 0o4711, 0o640, 0,
        ])
    };
    let owner = || prop::option::of(prop::sample::select(vec![0u32, 1001, 1002]));
    let group = || prop::option::of(prop::sample::select(vec![0u32, 101, 102, 103]));
    let people = prop_oneof![2 => Just(People::Me), 3 => Just(People::Ada), 3 => Just(People::Bob)];
    let any = prop_oneof![
        3 => (path(), mode()).prop_map(|(at, mode)| Step::Create(at, mode)),
        2 => (path(), 0..40usize).prop_map(|(at, len)| Step::Write(at, len)),
        1 => (path(), 0..40usize).prop_map(|(at, len)| Step::Append(at, len)),
        1 => (path(), 0..40u64).prop_map(|(at, len)| Step::Truncate(at, len)),
        2 => path().prop_map(Step::Read),
        5 => (path(), mode()).prop_map(|(at, mode)| Step::Mkdir(at, mode)),
        2 => path().prop_map(Step::Rmdir),
        2 => path().prop_map(Step::Unlink),
        5 => (path(), path(), how()).prop_map(|(from, to, how)| Step::Rename(from, to, how)),
        2 => path().prop_map(|at| Step::Stat(at, true)),
        1 => path().prop_map(Step::List),
        5 => (path(), mode()).prop_map(|(at, mode)| Step::Chmod(at, mode)),
        // Asking for neither is asking for nothing here; on the host it still takes the lent rights away.
        3 => (path(), owner(), group())
            .prop_filter("neither", |(_, uid, gid)| uid.is_some() || gid.is_some())
            .prop_map(|(at, uid, gid)| Step::Chown(at, uid, gid)),
        2 => (path(), any::<bool>()).prop_map(|(at, now)| Step::Times(at, now)),
    ];
    // Hosts may forbid linking what is not one's own, whatever its mode says; so root alone links.
    let link = (path(), path()).prop_map(|(from, to)| (People::Me, Step::Link(from, to)));
    let root = (path(), mode()).prop_map(|(at, mode)| (People::Me, Step::Chmod(at, mode)));
    prop_oneof![20 => (people, any), 1 => link, 2 => root]
}
