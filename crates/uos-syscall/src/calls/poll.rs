//! Waiting for many handles at once.

use std::{future::poll_fn, sync::Arc, task};

use parking_lot::Mutex;
use uos_ipc::Rights;
use uos_proto::{
    Right,
    v1::{self, PollHandle},
};

use super::within;
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    handles::{Handle, Licence, Wait},
    perform::Waiting,
    target::Scope,
};

/// The most handles in one call.
const MOST: usize = 1_024;

/// What is waited for, of one handle.
struct Watched {
    id: u64,
    read: Option<Wait>,
    write: Option<Wait>,
    licence: Option<Arc<Licence>>,
    needs: Rights,
}

/// All that is waited for.
pub(crate) struct Watch {
    /// A future that is shared between threads must be; only `run` looks into it.
    all: Mutex<Vec<Watched>>,
}

impl Target for Watch {
    fn judge(&self, _right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        for watched in &*self.all.lock() {
            watched.licence.as_ref().map_or(Ok(()), |licence| licence.check_for(watched.needs, caller))?;
        }
        Ok(Decision::Held)
    }

    fn subject(&self) -> Subject {
        self.all.lock().first().map_or(Subject::None, |first| Subject::Handle(first.id))
    }
}

impl Waiting for v1::Poll {
    type Target = Watch;

    fn target(&self, scope: &Scope<'_>) -> Result<Watch, Absent> {
        if self.handles.is_empty() || self.handles.len() > MOST {
            let why = format_args!("1 to {MOST}, not {}", self.handles.len());
            return Err(Absent { error: Error::invalid("handles", why), subject: Subject::None });
        }
        let watch = |asked: &PollHandle| {
            let look = |handle: &mut Handle| watched(handle, asked);
            Ok(scope.whole_handle(asked.id, needs(asked), look)?.found)
        };
        let all: Vec<Watched> = self.handles.iter().map(watch).collect::<Result<_, Absent>>()?;
        Ok(Watch { all: Mutex::new(all) })
    }

    async fn run(&self, cx: Cx<'_, Watch>) -> Result<v1::PollReply, Error> {
        let mut all = cx.target.all.into_inner();
        let ready = poll_fn(move |context| {
            let ready: Vec<PollHandle> = all.iter_mut().filter_map(|one| one.look(context)).collect();
            if ready.is_empty() { task::Poll::Pending } else { task::Poll::Ready(ready) }
        });
        match within(self.timeout_us, ready).await {
            Some(ready) => Ok(v1::PollReply { ready }),
            None => Err(Error::new(Errno::ETIMEDOUT, "no handle was ready in time")),
        }
    }
}

impl Watched {
    /// For what it is ready, if for anything.
    fn look(&mut self, context: &mut task::Context<'_>) -> Option<PollHandle> {
        let mut is_ready = |wait: &mut Option<Wait>| {
            wait.as_mut().is_some_and(|wait| wait.as_mut().poll(context).is_ready())
        };
        let (read, write) = (is_ready(&mut self.read), is_ready(&mut self.write));
        (read || write).then_some(PollHandle { id: self.id, read, write })
    }
}

fn needs(asked: &PollHandle) -> Rights {
    let read = if asked.read { Rights::READ } else { Rights::NONE };
    let write = if asked.write { Rights::WRITE } else { Rights::NONE };
    read | write
}

fn watched(handle: &Handle, asked: &PollHandle) -> Result<Watched, Error> {
    let (object, id) = (&handle.object, asked.id);
    if !asked.read && !asked.write {
        return Err(Error::invalid("handles", format_args!("nothing is asked of {id}")));
    }
    let wait = |wanted: bool, wait: Option<Wait>| match (wanted, wait) {
        (true, None) => Err(Error::other_handle(id, object.noun())),
        (true, wait) => Ok(wait),
        (false, _) => Ok(None),
    };
    let read = wait(asked.read, asked.read.then(|| object.readable()).flatten())?;
    let write = wait(asked.write, asked.write.then(|| object.writable()).flatten())?;
    Ok(Watched { id, read, write, licence: handle.licence(), needs: needs(asked) })
}
