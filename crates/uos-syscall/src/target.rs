//! What calls are aimed at: nothing, a path, a process, a handle.

use std::sync::Arc;

use uos_ipc::Rights;
use uos_proto::Right;
use uos_vfs::{Caller, How, NAME_MAX, NodeRef, Passed, Place, Unresolved, VPath};

use crate::{
    Errno, Error,
    admit::{Absent, Target},
    asking::{Asker, Once},
    audit::{Decision, Subject},
    handles::{Handle, Licence, Object},
    kernel::Inner,
    process::{Pid, Process},
    rights::Grants,
};

/// As whom the kernel asks the filesystems. What a process may do is judged by its rights, on what was resolved, and
/// never by mode bits. Where something may be made for a process it is the process's own hand that asks, which is the
/// same but for who pays.
pub(crate) const KERNEL: &Caller = &Caller::ROOT;

/// Where a call looks for its target.
pub(crate) struct Scope<'a> {
    pub(crate) kernel: &'a Arc<Inner>,
    pub(crate) caller: &'a Arc<Process>,
    /// What it was allowed for this call alone.
    pub(crate) once: &'a Once,
    /// Stop rather than wait for a disk.
    pub(crate) memory_only: bool,
}

impl Scope<'_> {
    /// Resolves a path, once. There is a canonical path to judge whatever comes of it, unless the text itself is no path:
    /// then nothing was looked at, and saying so tells nobody anything.
    pub(crate) fn path(&self, text: &str, raw: &[u8], follow_last: bool) -> Result<PathTarget, Absent> {
        self.resolve(either(text, raw), follow_last)
    }

    /// Resolves a path to a name in a directory, which is to be moved or removed: a link there is not followed, not
    /// even for the sake of a slash behind it.
    pub(crate) fn entry(&self, text: &str, raw: &[u8]) -> Result<EntryTarget, Absent> {
        let path = either(text, raw);
        let end = path.iter().rposition(|&byte| byte != b'/').map_or(path.len().min(1), |last| last + 1);
        let bare = &path[..end];
        if matches!(bare.rsplit(|&byte| byte == b'/').next(), Some(b"." | b"..")) {
            let error = Error::invalid("path", "`.` and `..` are no names that could be moved or removed");
            return Err(Absent { error, subject: Subject::None });
        }
        let must_be_dir = bare.len() < path.len();
        Ok(EntryTarget { path: self.resolve(bare, false)?, must_be_dir })
    }

    fn resolve(&self, path: &[u8], follow_last: bool) -> Result<PathTarget, Absent> {
        if let Err(error) = well_formed(path) {
            return Err(Absent { error: error.into(), subject: Subject::None });
        }
        let cwd;
        let base = if path[0] == b'/' {
            VPath::root_ref()
        } else {
            cwd = self.caller.cwd();
            &*cwd
        };
        let how = How { base, follow_last, memory_only: self.memory_only, ..How::new(KERNEL) };
        let found = self.kernel.mounts.resolve(path, &how).map_err(Box::new);
        Ok(PathTarget { found, detours: detours(path, base).map(Box::new) })
    }

    /// The process of a pid, if the caller may see it: itself (0 for short), a descendant, or any with the right.
    pub(crate) fn visible(&self, pid: u64, right: Right) -> Option<(Arc<Process>, Decision)> {
        if pid == 0 || pid == self.caller.pid.0 {
            return Some((Arc::clone(self.caller), Decision::Kin));
        }
        let process = self.kernel.processes.get(Pid(pid))?;
        if self.caller.is_kin(&process) {
            return Some((process, Decision::Kin));
        }
        let grant = self.caller.grants().any(right).cloned()?;
        Some((process, Decision::Grant(grant)))
    }

    /// The process of a pid as a target. One that the caller may not see is as absent as one that never was.
    pub(crate) fn process(&self, pid: u64, right: Right) -> Result<ProcessTarget, Absent> {
        match self.visible(pid, right) {
            Some((process, decision)) => Ok(ProcessTarget { process, decision }),
            None => Err(Absent { error: Error::no_process(pid), subject: Subject::Process(pid) }),
        }
    }

    /// What `look` finds of an object in the caller's table, if the handle has these rights. One of another kind, of which
    /// `look` makes nothing, is no better than none.
    pub(crate) fn handle<T>(
        &self,
        id: u64,
        needs: Rights,
        look: impl FnOnce(&mut Object) -> Option<T>,
    ) -> Result<HandleTarget<T>, Absent> {
        self.whole_handle(id, needs, |handle| {
            let noun = handle.object.noun();
            look(&mut handle.object).ok_or_else(|| Error::other_handle(id, noun))
        })
    }

    /// The same of the handle itself, whatever its kind.
    pub(crate) fn whole_handle<T>(
        &self,
        id: u64,
        needs: Rights,
        look: impl FnOnce(&mut Handle) -> Result<T, Error>,
    ) -> Result<HandleTarget<T>, Absent> {
        let looked = self.caller.handles.with(id, |handle| {
            if !handle.rights.contains(needs) {
                return Err(Error::handle_lacks(id, needs.without(handle.rights)));
            }
            Ok(HandleTarget { id, needs, found: look(handle)?, licence: handle.licence() })
        });
        let looked = looked.unwrap_or_else(|| Err(Error::no_handle(id)));
        looked.map_err(|error| Absent { error, subject: Subject::Handle(id) })
    }
}

/// A path as text or as bytes, which win when set.
fn either<'a>(text: &'a str, raw: &'a [u8]) -> &'a [u8] {
    if raw.is_empty() { text.as_bytes() } else { raw }
}

/// What the text of a path enters and leaves again by `..`, if anything; the root is no secret.
fn detours(path: &[u8], base: &VPath) -> Option<Detours> {
    if !path.windows(2).any(|pair| pair == b"..") {
        return None;
    }
    let names = || path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    if !names().any(|name| name == b"..") {
        return None;
    }
    let mut at = if path[0] == b'/' { VPath::root() } else { base.clone() };
    let mut left = Vec::new();
    for name in names() {
        if name != b".." {
            at = at.join(name);
        } else if let Some(parent) = at.parent() {
            left.push(std::mem::replace(&mut at, parent));
        }
    }
    Some(Detours { left, text_leads_to: at })
}

fn well_formed(path: &[u8]) -> uos_vfs::Result<()> {
    if path.contains(&0) {
        return Err(uos_vfs::Error::InvalidPath);
    }
    if path.is_empty() {
        return Err(uos_vfs::Error::NotFound);
    }
    // Most paths are no longer than one name may be.
    if path.len() > NAME_MAX
        && (path.len() >= 4_096 || path.split(|&byte| byte == b'/').any(|name| name.len() > NAME_MAX))
    {
        return Err(uos_vfs::Error::NameTooLong);
    }
    Ok(())
}

/// A call with no target but the system itself.
pub(crate) struct System;

impl Target for System {
    #[inline]
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        if right == Right::None {
            return Ok(Decision::Free);
        }
        held(&caller.grants(), right)
    }

    fn subject(&self) -> Subject {
        Subject::None
    }
}

/// The grant of a right that is for everything or nothing.
pub(crate) fn held(grants: &Grants, right: Right) -> Result<Decision, Error> {
    match grants.any(right) {
        Some(grant) => Ok(Decision::Grant(Arc::clone(grant))),
        None => Err(Error::denied(right.grant_name().unwrap_or_default().to_owned())),
    }
}

/// The refusal of a right on a path.
pub(crate) fn denied(right: Right, path: &VPath) -> Error {
    Error::denied(format!("{}:{path}", right.grant_name().unwrap_or_default()))
}

/// The refusal of a right on a path and everything below it.
pub(crate) fn denied_below(right: Right, path: &VPath) -> Error {
    let slash = if path.is_root() { "" } else { "/" };
    Error::denied(format!("{}:{path}{slash}**", right.grant_name().unwrap_or_default()))
}

/// A path, resolved.
pub(crate) struct PathTarget {
    /// What is seldom there is kept apart: it would make every target larger.
    pub(crate) found: Result<Place, Box<Unresolved>>,
    detours: Option<Box<Detours>>,
}

/// A name in a directory, resolved.
pub(crate) struct EntryTarget {
    pub(crate) path: PathTarget,
    /// The path ended in a slash: only a directory will do.
    pub(crate) must_be_dir: bool,
}

impl Target for EntryTarget {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        self.path.judge(right, caller)
    }

    fn subject(&self) -> Subject {
        self.path.subject()
    }

    fn into_subject(self) -> Subject {
        self.path.into_subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.path.stopped_at_disk()
    }
}

/// What a path enters and leaves again by `..`: whether it is there shows in where the path leads.
struct Detours {
    left: Vec<VPath>,
    /// Where the path leads by its text alone, which tells nothing that its author doesn't know.
    text_leads_to: VPath,
}

impl PathTarget {
    /// Where the path leads, or would lead if everything on the way were there.
    pub(crate) fn path(&self) -> &VPath {
        match &self.found {
            Ok(place) => &place.path,
            Err(unresolved) => &unresolved.path,
        }
    }

    /// What was met on the way, in order.
    fn passed(&self) -> &[Passed] {
        match &self.found {
            Ok(place) => &place.passed,
            Err(unresolved) => &unresolved.passed,
        }
    }

    /// The place, or why there is none.
    pub(crate) fn place(&self) -> Result<&Place, Error> {
        self.found.as_ref().map_err(|unresolved| Error::from(unresolved.error.clone()))
    }

    /// What is at the place.
    pub(crate) fn node(&self) -> Result<&NodeRef, Error> {
        self.place()?.node.as_ref().ok_or_else(|| Errno::ENOENT.into())
    }

    /// What allows a right here, or a refusal that says no more than the caller may know: a symbolic link that the
    /// caller can't read is spoken of as if it were not a link.
    pub(crate) fn judge_path(&self, right: Right, grants: &Grants) -> Result<Decision, Error> {
        // Text that is no path names nothing to have a right on, and is the same to everybody.
        if let Err(unresolved) = &self.found
            && unresolved.at.is_none()
        {
            return Err(unresolved.error.clone().into());
        }
        let may_see = |path: &VPath| {
            [right, Right::FsRead].iter().any(|&right| grants.for_path(right, path.as_bytes()).is_some())
        };
        if let Some(Detours { left, text_leads_to }) = self.detours.as_deref()
            && let Some(foreign) = left.iter().find(|path| !may_see(path))
        {
            let aimed_well = grants.for_path(right, text_leads_to.as_bytes()).is_some();
            return Err(denied(right, if aimed_well { foreign } else { text_leads_to }));
        }
        // What is named is what the way meets first: it does so whatever lies there.
        let hidden = || self.passed().iter().filter(|passed| !may_see(passed.path()));
        // A link may go in and out of foreign places too.
        let tells = hidden().any(|passed| matches!(passed, Passed::Left(_)));
        if let (false, Some(grant)) = (tells, grants.for_path(right, self.path().as_bytes())) {
            return Ok(Decision::Grant(Arc::clone(grant)));
        }
        Err(denied(right, hidden().next().map_or(self.path(), Passed::path)))
    }
}

impl Target for PathTarget {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        self.judge_path(right, &caller.grants())
    }

    fn subject(&self) -> Subject {
        Subject::Path(self.path().clone())
    }

    #[inline]
    fn into_subject(self) -> Subject {
        Subject::Path(match self.found {
            Ok(place) => place.path,
            Err(unresolved) => unresolved.path,
        })
    }

    fn stopped_at_disk(&self) -> bool {
        self.found.as_ref().is_err_and(|unresolved| unresolved.error == uos_vfs::Error::WouldBlock)
    }
}

/// A process that the caller may act on.
pub(crate) struct ProcessTarget {
    pub(crate) process: Arc<Process>,
    decision: Decision,
}

impl Target for ProcessTarget {
    fn judge(&self, _right: Right, _caller: Asker<'_>) -> Result<Decision, Error> {
        Ok(self.decision.clone())
    }

    fn subject(&self) -> Subject {
        Subject::Process(self.process.pid.0)
    }
}

/// Something of a handle that the caller holds.
pub(crate) struct HandleTarget<T> {
    id: u64,
    needs: Rights,
    pub(crate) found: T,
    licence: Option<Arc<Licence>>,
}

impl<T> HandleTarget<T> {
    /// The same for what is free to everybody who holds it.
    pub(crate) fn without_licence(self) -> Self {
        Self { licence: None, ..self }
    }
}

impl<T> Target for HandleTarget<T> {
    fn judge(&self, _right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        self.licence.as_ref().map_or(Ok(()), |licence| licence.check_for(self.needs, caller))?;
        Ok(Decision::Held)
    }

    fn subject(&self) -> Subject {
        Subject::Handle(self.id)
    }
}
