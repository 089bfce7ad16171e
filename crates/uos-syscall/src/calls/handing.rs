//! Handing handles to a new program, as real descriptors.

use std::{os::fd::OwnedFd, sync::Arc};

use rustix::fs::{Mode, OFlags, open};
use tokio::runtime::Handle as Runtime;
use uos_ipc::{Lease, Pump, Quota, Reader, Rights, Writer};
use uos_proc::{Level, Spec};
use uos_proto::v1;

use crate::{
    Errno, Error,
    admit::Absent,
    asking::Asker,
    audit::Subject,
    handles::{FileHandle, Handle, Licence, Object, Window},
    sockets::{Leash, Relay, Whole},
    target::Scope,
};

/// The most handles that one program may be given.
const MOST: usize = 64;

/// A handle as the caller may hand it on, and the number it is to have.
pub(crate) struct Handing {
    number: i32,
    what: What,
    rights: Rights,
    licence: Option<Arc<Licence>>,
}

enum What {
    Reader(Reader),
    Writer(Writer),
    File(FileHandle),
    Segment(Window),
    Socket(Arc<Whole>),
}

/// What has to go on for as long as a program has what was handed to it.
#[derive(Default)]
pub(crate) struct Handed {
    pumps: Vec<Pump>,
    relays: Vec<Relay>,
    /// Of what ends with the program.
    pub(crate) leashes: Vec<Leash>,
    pub(crate) leases: Vec<Lease>,
}

/// Finds what is to be handed over. Passing a handle on takes that it can be.
pub(super) fn find(scope: &Scope<'_>, asked: &[v1::SpawnHandle]) -> Result<Vec<Handing>, Absent> {
    if asked.len() > MOST {
        let error = Error::limit(Errno::E2BIG, "handles", asked.len() as u64, MOST as u64);
        return Err(Absent { error, subject: Subject::None });
    }
    let one = |asked: &v1::SpawnHandle| {
        let number = i32::try_from(asked.fd).ok().filter(|number| (3..1_024).contains(number));
        let take = |handle: &mut Handle| {
            let number = number
                .ok_or_else(|| Error::invalid("handles.fd", format_args!("3 to 1023, not {}", asked.fd)))?;
            let what = what(asked.id, &handle.object)?;
            Ok(Handing { number, what, rights: handle.rights, licence: handle.licence() })
        };
        scope.whole_handle(asked.id, Rights::TRANSFER, take).map(|target| target.found)
    };
    asked.iter().map(one).collect()
}

fn what(id: u64, object: &Object) -> Result<What, Error> {
    match object {
        Object::Pipe(pipe) => {
            super::pipes::alive(&pipe.control)?;
            match (&pipe.reader, &pipe.writer) {
                (Some(reader), None) => Ok(What::Reader(reader.clone())),
                (None, Some(writer)) => Ok(What::Writer(writer.clone())),
                (Some(_), Some(_)) => Err(Error::invalid(
                    "handles.id",
                    format_args!("{id} is both ends of a pipe, and a descriptor is one"),
                )
                .hint("make a second handle with Dup, and restrict it to reading or to writing")),
                (None, None) => {
                    Err(Error::invalid("handles.id", format_args!("{id} is neither end of the pipe")))
                }
            }
        }
        Object::File(file) => Ok(What::File(file.clone())),
        Object::Segment(segment) => Ok(What::Segment(segment.window())),
        Object::Socket(socket) => Ok(What::Socket(Arc::clone(&socket.whole))),
        other => Err(Error::new(
            Errno::ENOTSUP,
            format!("handle {id} is {}, which the host has no descriptor for", other.noun()),
        )
        .hint("pipes, segments, connections and files of host folders can be handed to programs")),
    }
}

impl Handing {
    /// Whether what it was opened by still holds, for all that the program could do with it.
    pub(super) fn check(&self, caller: Asker<'_>) -> Result<(), Error> {
        self.licence.as_ref().map_or(Ok(()), |licence| licence.check_for(self.rights, caller))
    }
}

/// Puts real descriptors into the spec. What the host keeps for them is charged to the program's own process.
pub(super) fn hand(
    all: &[Handing],
    mut spec: Spec,
    level: Level,
    room: &Quota,
    runtime: &Runtime,
) -> Result<(Spec, Handed), Error> {
    let mut handed = Handed::default();
    for handing in all {
        let fd = match &handing.what {
            What::Reader(reader) => pumped(&mut handed, reader.clone().into_fd())?,
            What::Writer(writer) => pumped(&mut handed, writer.clone().into_fd())?,
            What::File(file) => reopen(file, handing.rights)?,
            What::Segment(window) => {
                let (fd, lease) = window.share(handing.rights, level)?;
                handed.leases.push(lease);
                fd
            }
            What::Socket(whole) => {
                let (fd, relay) = Relay::new(whole, handing.rights, room, runtime)?;
                handed.relays.push(relay);
                fd
            }
        };
        spec = spec.fd(handing.number, fd);
    }
    Ok((spec, handed))
}

impl Handed {
    /// Has pipes and connections go on by themselves. They end with the program, or with whoever holds the other end.
    pub(super) fn run(&mut self, runtime: &Runtime) {
        for pump in self.pumps.drain(..) {
            runtime.spawn(pump);
        }
        self.leashes.extend(self.relays.drain(..).map(|relay| relay.run(runtime)));
    }
}

fn pumped(handed: &mut Handed, end: Result<(OwnedFd, Pump), uos_ipc::PipeError>) -> Result<OwnedFd, Error> {
    let (fd, pump) =
        end.map_err(|error| Error::at_stage(Errno::EIO, "handles".to_owned(), error.to_string()))?;
    handed.pumps.push(pump);
    Ok(fd)
}

/// The file opened anew, as the handle has it. It has a position of its own, which begins at the start.
fn reopen(file: &FileHandle, rights: Rights) -> Result<OwnedFd, Error> {
    let Some(fd) = file.descriptor.node().host_fd() else {
        return Err(Error::new(
            Errno::ENOTSUP,
            format!("{} lies in memory, where the host has no descriptor for it", file.path),
        )
        .hint("put it into a host folder that is mounted in the namespace"));
    };
    let failed = |errno: i32| {
        Error::at_stage(
            Errno::from_number(errno),
            "handles".to_owned(),
            format!("{} can't be opened for the program", file.path),
        )
    };
    let fd = fd.map_err(|error| failed(error.raw_os_error().unwrap_or(5)))?;
    let access = match (rights.contains(Rights::READ), rights.contains(Rights::WRITE)) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (_, false) => OFlags::RDONLY,
    };
    let appends = if file.descriptor.appends() { OFlags::APPEND } else { OFlags::empty() };
    // The one way to give a descriptor other flags; it names the file itself, whatever its names are by now.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
    open(path, access | appends | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK, Mode::empty())
        .map_err(|errno| failed(errno.raw_os_error()))
}
