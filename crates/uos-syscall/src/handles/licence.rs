//! What a handle was opened by, and goes on by.

use std::{fmt, future::Future as _, net::SocketAddr, sync::Arc, task::Poll};

use bytes::Bytes;
use uos_ipc::Rights;
use uos_proto::Right;
use uos_vfs::VPath;

use crate::{
    Error,
    asking::{Asker, Leave},
    net::{Aim, judge},
    rights::{Grants, Host},
    target::denied,
};

/// The right by which a process opened something. Whoever holds the handle now uses it as long as the one who opened
/// it would still be let through: a right that is taken away closes what it has opened, wherever that was passed.
pub(crate) struct Licence {
    /// The opener's, who may have ended: then by what it had at its end.
    leave: Leave,
    rights: Vec<Right>,
    of: Of,
    /// What it was opened by before, and goes on by, too: a socket that has an address and then connects.
    before: Option<Arc<Licence>>,
}

/// What the right is for.
enum Of {
    Path(VPath),
    /// An address of a host, and whether this machine would talk to itself there.
    Address(Host, SocketAddr, bool),
    /// A socket of this system.
    Socket(Bytes),
}

impl Licence {
    /// For what was opened at a canonical path by all of these rights.
    pub(crate) fn path(opener: Asker<'_>, rights: Vec<Right>, path: VPath) -> Arc<Self> {
        Arc::new(Self { leave: opener.leave(), rights, of: Of::Path(path), before: None })
    }

    /// For a socket that has, or talks to, an address of a host.
    pub(crate) fn address(
        opener: Asker<'_>,
        right: Right,
        host: Host,
        at: SocketAddr,
        before: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let of = Of::Address(host, at, judge::leads_home(right, at));
        Arc::new(Self { leave: opener.leave(), rights: vec![right], of, before })
    }

    /// For a socket that has, or talks to, a name in this system.
    pub(crate) fn socket(
        opener: Asker<'_>,
        right: Right,
        name: Bytes,
        before: Option<Arc<Self>>,
    ) -> Arc<Self> {
        Arc::new(Self { leave: opener.leave(), rights: vec![right], of: Of::Socket(name), before })
    }

    /// Whether it holds still for what is to be done. What neither reads nor writes takes any one of its rights.
    pub(crate) fn check(&self, to: Rights) -> Result<(), Error> {
        self.before.as_ref().map_or(Ok(()), |before| before.check(to))?;
        let of_use = |right: &Right| match right {
            Right::FsRead => to.contains(Rights::READ),
            Right::FsWrite => to.contains(Rights::WRITE),
            _ => true,
        };
        let holds = |right| self.leave.ask(|grants| self.holds(right, grants));
        let mut needed = self.rights.iter().copied().filter(of_use).peekable();
        if needed.peek().is_some() {
            return needed.try_for_each(holds);
        }
        let mut last = Ok(());
        for &right in &self.rights {
            last = holds(right);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Until it holds no more for what is to be done: for who goes on by it without asking each time.
    pub(crate) async fn lost(&self, to: Rights) {
        loop {
            // Listened for before it is looked, so that no loss is missed.
            let all = std::iter::successors(Some(self), |licence| licence.before.as_deref());
            let mut losses: Vec<_> = all.map(|licence| Box::pin(licence.leave.next_loss())).collect();
            for loss in &mut losses {
                loss.as_mut().enable();
            }
            if self.check(to).is_err() {
                return;
            }
            std::future::poll_fn(|cx| {
                let mut any = losses.iter_mut().map(|loss| loss.as_mut().poll(cx));
                if any.any(|loss| loss.is_ready()) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    /// Goes on with `work`, which moves something by it, while it holds for what is to be done. Whoever takes the right away
    /// waits for the step that is under way, and none follows: what has not moved by then doesn't.
    pub(crate) async fn while_held<T>(&self, to: Rights, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| {
            let _own = self.leave.keep();
            let before = std::iter::successors(self.before.as_deref(), |licence| licence.before.as_deref());
            let _before: Vec<_> = before.map(|licence| licence.leave.keep_too()).collect();
            match self.check(to) {
                Ok(()) => work.as_mut().poll(cx).map(Ok),
                Err(lost) => Poll::Ready(Err(lost)),
            }
        })
        .await
    }

    /// The same for who may have been allowed for this call what the opener has no longer.
    pub(crate) fn check_for(&self, to: Rights, caller: Asker<'_>) -> Result<(), Error> {
        self.check(to).or_else(|refusal| if caller.may_once(&refusal) { Ok(()) } else { Err(refusal) })
    }

    fn holds(&self, right: Right, grants: &Grants) -> Result<(), Error> {
        match &self.of {
            Of::Path(path) => match grants.for_path(right, path.as_bytes()) {
                Some(_) => Ok(()),
                None => Err(denied(right, path)),
            },
            Of::Address(host, at, is_own) => {
                judge::known_address(grants, right, host, *at, *is_own).map(|_| ())
            }
            Of::Socket(name) => judge::socket(grants, right, name).map(|_| ()),
        }
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::Path(path) => path.fmt(out),
            Of::Address(host, at, _) => Aim::Host(host.clone(), at.port()).fmt(out),
            Of::Socket(name) => Aim::Socket(name.clone()).fmt(out),
        }
    }
}
