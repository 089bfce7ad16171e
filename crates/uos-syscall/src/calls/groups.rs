//! Groups of processes: what they weigh together.

use std::sync::Arc;

use uos_ipc::Rights;
use uos_proto::{Right, v1};
use uos_sched::Weight;

use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    control::{Group, Standing},
    handles::{Handle, Object},
    perform::Syscall,
    process::{Pid, Process},
    target::{Scope, held},
};

/// Groups of the caller, and a process. The right is judged first: without it nobody learns whether they are there.
pub(crate) struct Grouping {
    /// What the audit names.
    subject: Subject,
    /// None for the root.
    group: Option<Result<Found, Error>>,
    member: Option<Result<Found, Error>>,
    process: Option<Arc<Process>>,
}

#[derive(Clone)]
struct Found {
    group: Arc<Group>,
    is_makers: bool,
}

impl Grouping {
    fn new(scope: &Scope<'_>, id: u64, subject: Subject) -> Self {
        Self { subject, group: find(scope, id), member: None, process: None }
    }

    fn group(&self) -> Result<Option<Found>, Error> {
        self.group.clone().transpose()
    }
}

/// A group in the caller's table, unless the root is meant.
fn find(scope: &Scope<'_>, id: u64) -> Option<Result<Found, Error>> {
    if id == 0 {
        return None;
    }
    let looked = scope.handle(id, Rights::NONE, |object| match object {
        Object::Group(handle) => {
            Some(Found { group: Arc::clone(handle.group()), is_makers: handle.is_makers() })
        }
        _ => None,
    });
    let found = looked.map(|target| target.found).map_err(|absent| absent.error);
    // One that has dissolved with its maker is as absent as one that never was.
    Some(
        found
            .and_then(|found| if found.group.is_dissolved() { Err(Error::no_handle(id)) } else { Ok(found) }),
    )
}

impl Target for Grouping {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        held(&caller.grants(), right)
    }

    fn subject(&self) -> Subject {
        self.subject.clone()
    }
}

impl Syscall for v1::CreateGroup {
    type Target = Grouping;

    fn target(&self, scope: &Scope<'_>) -> Result<Grouping, Absent> {
        Ok(Grouping::new(scope, self.parent_id, Subject::None))
    }

    fn run(&self, cx: Cx<'_, &Grouping>) -> Result<v1::CreateGroupReply, Error> {
        let parent = cx.target.group()?.map(|found| found.group);
        let weight = self.weight.map_or(Ok(Weight::DEFAULT), Weight::new);
        let weight = weight.map_err(|error| Error::invalid("weight", error))?;
        let id = cx.kernel().new_object();
        let group = cx.kernel().create_group(id, parent, weight)?;
        let rights = Rights::WRITE | Rights::TRANSFER | Rights::DUPLICATE | Rights::DESTROY;
        cx.caller().handles.insert(id, Handle::new(Object::Group(group), rights))?;
        Ok(v1::CreateGroupReply { id })
    }
}

impl Syscall for v1::SetGroup {
    type Target = Grouping;

    fn target(&self, scope: &Scope<'_>) -> Result<Grouping, Absent> {
        if self.member_id != 0 {
            let grouping = Grouping::new(scope, self.id, Subject::Handle(self.member_id));
            return Ok(Grouping { member: find(scope, self.member_id), ..grouping });
        }
        let pid = if self.pid == 0 { scope.caller.pid } else { Pid(self.pid) };
        let grouping = Grouping::new(scope, self.id, Subject::Process(pid.0));
        Ok(Grouping { process: scope.kernel.processes.get(pid), ..grouping })
    }

    /// The host is told of all weights.
    fn blocks(_target: &Grouping) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Grouping>) -> Result<v1::SetGroupReply, Error> {
        if self.member_id != 0 && self.pid != 0 {
            return Err(Error::invalid("pid", "say either a process or a group"));
        }
        let to = cx.target.group()?.map(|found| found.group);
        if let Some(member) = cx.target.member.clone().transpose()? {
            cx.kernel().move_group(&member.group, to)?;
            return Ok(v1::SetGroupReply {});
        }
        let process = cx.target.process.as_ref().ok_or_else(|| Error::no_process(self.pid))?;
        cx.kernel().restand(process, |standing| Ok(Standing { group: to.clone(), ..standing.clone() }))?;
        Ok(v1::SetGroupReply {})
    }
}

impl Syscall for v1::DestroyGroup {
    type Target = Grouping;

    fn target(&self, scope: &Scope<'_>) -> Result<Grouping, Absent> {
        Ok(Grouping::new(scope, self.id, Subject::Handle(self.id)))
    }

    fn blocks(_target: &Grouping) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Grouping>) -> Result<v1::DestroyGroupReply, Error> {
        let found = cx.target.group()?.ok_or_else(|| Error::no_handle(self.id))?;
        if !found.is_makers {
            return Err(
                Error::new(Errno::EACCES, "only who made a group can destroy it").hint("close it instead")
            );
        }
        cx.kernel().dissolve(&found.group);
        cx.kernel().rebalance();
        drop(cx.caller().handles.remove(self.id));
        Ok(v1::DestroyGroupReply {})
    }
}
