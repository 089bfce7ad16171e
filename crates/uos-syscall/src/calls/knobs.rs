//! Options of sockets.

use uos_ipc::Rights;
use uos_proto::v1;

use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    perform::Syscall,
    sockets::{HeldSocket, Kind, Knob},
    target::{HandleTarget, Scope},
};

impl Syscall for v1::SetSocketOption {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::WRITE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::SetSocketOptionReply, Error> {
        let whole = &cx.target.found.whole;
        let knob = Knob::parse(self.option, whole.kind)?;
        if matches!(whole.kind, Kind::Unix(_)) {
            return Err(Error::new(Errno::ENOPROTOOPT, "the buffers of such a socket are fixed"));
        }
        let value = knob.value(self.value)?;
        let host = whole.host();
        let mut state = whole.state.lock();
        let knobs = state.knobs.with(knob, value);
        if let Some(host) = host {
            let room = cx.caller().share.socket_bytes.take(knobs.buffer_bytes())?;
            knobs.apply(&host, whole.kind)?;
            // What it had is given back only now, when nothing can fail any more.
            state.room = Some(room);
        }
        state.knobs = knobs;
        Ok(v1::SetSocketOptionReply {})
    }
}

impl Syscall for v1::GetSocketOption {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::NONE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::GetSocketOptionReply, Error> {
        let whole = &cx.target.found.whole;
        let knob = Knob::parse(self.option, whole.kind)?;
        Ok(v1::GetSocketOptionReply { value: whole.state.lock().knobs.get(knob) })
    }
}
