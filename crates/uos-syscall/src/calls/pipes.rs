//! Pipes.

use std::sync::Arc;

use uos_ipc::{Capacity, Control, Pipe, PipeError, PipeStats, Read, Rights, Write};
use uos_proto::{Right, v1};

use super::{handles::give_up, reply_bytes, within};
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    handles::{Handle, Object, PipeEnds},
    perform::{Syscall, Waiting},
    process::Process,
    target::{HandleTarget, Scope, held},
};

/// The two who are to have a pipe between them, as far as the caller may see them.
pub(crate) struct Parties {
    reader: Option<Arc<Process>>,
    writer: Option<Arc<Process>>,
    asked: (u64, u64),
}

impl Target for Parties {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        // The right first: without it, nobody learns which pids exist.
        let decision = held(&caller.grants(), right)?;
        self.both()?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        Subject::Process(self.asked.0)
    }
}

impl Parties {
    fn both(&self) -> Result<(&Arc<Process>, &Arc<Process>), Error> {
        let reader = self.reader.as_ref().ok_or_else(|| Error::no_process(self.asked.0))?;
        let writer = self.writer.as_ref().ok_or_else(|| Error::no_process(self.asked.1))?;
        Ok((reader, writer))
    }
}

impl Syscall for v1::CreatePipe {
    type Target = Parties;

    fn target(&self, scope: &Scope<'_>) -> Result<Parties, Absent> {
        let find = |pid| {
            scope
                .visible(pid, Right::ProcControl)
                .map(|(process, _)| process)
                .filter(|process| process.is_alive())
        };
        Ok(Parties {
            reader: find(self.reader_pid),
            writer: find(self.writer_pid),
            asked: (self.reader_pid, self.writer_pid),
        })
    }

    fn run(&self, cx: Cx<'_, &Parties>) -> Result<v1::CreatePipeReply, Error> {
        let (reader, writer) = cx.target.both()?;
        let capacity = match self.capacity {
            0 => Capacity::DEFAULT,
            bytes => Capacity::new(bytes).map_err(|error| Error::invalid("capacity", error))?,
        };
        let pipe = Pipe::new(capacity, &cx.caller().share.pipe_bytes)?;
        let id = cx.kernel().new_object();
        let handle = |reader, writer, rights| {
            let ends = PipeEnds { reader, writer, control: pipe.control.clone() };
            Handle::new(Object::Pipe(ends), rights | Rights::DUPLICATE | Rights::TRANSFER)
        };
        let shares = [
            (cx.caller(), handle(None, None, Rights::DESTROY)),
            (reader, handle(Some(pipe.reader), None, Rights::READ)),
            (writer, handle(None, Some(pipe.writer), Rights::WRITE)),
        ];
        for (process, share) in shares {
            if let Err(error) = process.handles.insert(id, share) {
                // All or nothing: who has got a share gives it back.
                for process in [cx.caller(), reader, writer] {
                    drop(process.handles.remove(id));
                }
                return Err(error);
            }
        }
        Ok(v1::CreatePipeReply { id })
    }
}

impl Waiting for v1::WritePipe {
    type Target = HandleTarget<Write>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        // The write belongs to the handle without keeping it open, so that closing the handle ends the write.
        scope.handle(self.id, Rights::WRITE, |object| {
            let Object::Pipe(pipe) = object else { return None };
            Some(pipe.writer.as_ref()?.write(self.data.clone()))
        })
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::WritePipeReply, Error> {
        match within(self.timeout_us, cx.target.found).await {
            Some(result) => Ok(v1::WritePipeReply {
                bytes_written: result.map_err(|error| refused(error, self.id))? as u64,
            }),
            None => Err(Error::new(Errno::ETIMEDOUT, "there was no room in time; nothing was written")),
        }
    }
}

impl Waiting for v1::ReadPipe {
    type Target = HandleTarget<Read>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::READ, |object| {
            let Object::Pipe(pipe) = object else { return None };
            Some(pipe.reader.as_ref()?.read(reply_bytes(self.max_bytes)))
        })
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::ReadPipeReply, Error> {
        match within(self.timeout_us, cx.target.found).await {
            Some(result) => {
                let data = result.map_err(|error| refused(error, self.id))?;
                Ok(v1::ReadPipeReply { end: data.is_empty(), data })
            }
            None => Err(Error::new(Errno::ETIMEDOUT, "nothing came in time")),
        }
    }
}

impl Syscall for v1::ClosePipe {
    type Target = HandleTarget<()>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::NONE, |object| matches!(object, Object::Pipe(_)).then_some(()))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::ClosePipeReply, Error> {
        give_up(&cx, self.id)?;
        Ok(v1::ClosePipeReply {})
    }
}

impl Syscall for v1::DestroyPipe {
    type Target = HandleTarget<Control>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        control(scope, self.id, Rights::DESTROY)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::DestroyPipeReply, Error> {
        alive(&cx.target.found)?;
        cx.target.found.destroy();
        drop(cx.caller().handles.remove(self.id));
        Ok(v1::DestroyPipeReply {})
    }
}

impl Syscall for v1::PipeStats {
    type Target = HandleTarget<Control>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        control(scope, self.id, Rights::NONE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::PipeStatsReply, Error> {
        let stats = alive(&cx.target.found)?;
        Ok(v1::PipeStatsReply {
            capacity_bytes: stats.capacity_bytes as u64,
            buffered_bytes: stats.buffered_bytes as u64,
            written_bytes: stats.written_bytes,
            read_bytes: stats.read_bytes,
            readers: stats.readers as u64,
            writers: stats.writers as u64,
        })
    }
}

fn control(scope: &Scope<'_>, id: u64, needs: Rights) -> Result<HandleTarget<Control>, Absent> {
    scope.handle(id, needs, |object| match object {
        Object::Pipe(pipe) => Some(pipe.control.clone()),
        _ => None,
    })
}

/// The numbers of a pipe, unless it was destroyed.
pub(super) fn alive(control: &Control) -> Result<PipeStats, Error> {
    let stats = control.stats();
    if stats.destroyed { Err(destroyed(stats.discarded_bytes)) } else { Ok(stats) }
}

fn destroyed(discarded_bytes: u64) -> Error {
    Error::new(Errno::EIDRM, format!("the pipe was destroyed, {discarded_bytes} bytes of it unread"))
}

fn refused(error: PipeError, id: u64) -> Error {
    match error {
        PipeError::Destroyed { discarded_bytes } => destroyed(discarded_bytes),
        PipeError::BrokenPipe => Errno::EPIPE.into(),
        PipeError::WouldBlock { .. } => Errno::EAGAIN.into(),
        // The handle was closed while the call waited.
        _ => Error::no_handle(id),
    }
}
