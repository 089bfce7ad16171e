//! One listener: a WebSocket that follows the stream from its place on.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use uos_syscall::{Caller, Kernel};

use super::{Audience, Entry, Hub, Next, news::mark};
use crate::login::Logins;

/// How many events are taken from the stream at a time.
const STRIDE: usize = 256;
/// How often a silent listener is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long a listener may take over a message before its connection is given up; it can come back and go on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whose eyes the events are for.
pub(crate) enum Listener {
    /// Sees everything.
    Operator,
    /// Sees everything while the login of this cookie lasts.
    Browser(Logins, String),
    /// Sees what it may inspect and read.
    Process(Kernel, Caller),
}

impl Listener {
    /// Why it may listen no longer, if so.
    fn is_over(&self) -> Option<&'static str> {
        match self {
            Self::Operator => None,
            Self::Browser(logins, secret) => (!logins.knows(secret)).then_some("the login has ended"),
            Self::Process(kernel, caller) => {
                kernel.act_as(caller.pid()).is_err().then_some("the process has ended")
            }
        }
    }

    fn may_see(&self, entry: &Entry) -> bool {
        let Self::Process(kernel, caller) = self else { return true };
        match &entry.audience {
            Audience::Operator => false,
            Audience::Process(pid) => kernel.may_inspect(caller, *pid),
            Audience::Answerers(pid) => kernel.may_answer(caller, *pid),
            // A name that moves between what may be read and what may not is told to nobody but the operator.
            Audience::File(path, to) => {
                kernel.may_read(caller, path) && to.as_ref().is_none_or(|to| kernel.may_read(caller, to))
            }
        }
    }
}

/// Sends a message, or tells that nobody takes it.
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), ()> {
    match tokio::time::timeout(PATIENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

async fn close(socket: &mut WebSocket, code: u16, why: &'static str) {
    // Who is gone already need not be told.
    let _ = send(socket, Message::Close(Some(CloseFrame { code, reason: why.into() }))).await;
}

/// Sends what comes after `after` of `epoch`, until the listener goes or the server stops.
pub(crate) async fn follow(
    hub: Hub,
    listener: Listener,
    asked: Option<(String, u64)>,
    mut socket: WebSocket,
) {
    let mut newest = hub.watch();
    let known = asked.as_ref().filter(|(epoch, _)| epoch == hub.epoch()).map(|(_, after)| *after);
    let mut place = known.unwrap_or_else(|| hub.newest());
    if known.is_none() {
        let kind = if asked.is_some() { "resync" } else { "hello" };
        if send(&mut socket, Message::Text(mark(kind, hub.epoch(), place).into())).await.is_err() {
            return;
        }
    }
    let mut ping = tokio::time::interval(PING);
    ping.reset();
    let mut answered = true;
    loop {
        if let Some(why) = listener.is_over() {
            return close(&mut socket, close_code::POLICY, why).await;
        }
        match hub.after(place, STRIDE) {
            Next::Entries(entries) => {
                for entry in entries {
                    place = entry.seq;
                    if listener.may_see(&entry)
                        && send(&mut socket, Message::Text(entry.frame.clone())).await.is_err()
                    {
                        return;
                    }
                }
                continue;
            }
            Next::Gone(now) => {
                place = now;
                if send(&mut socket, Message::Text(mark("resync", hub.epoch(), now).into())).await.is_err() {
                    return;
                }
                continue;
            }
            Next::Nothing => {}
        }
        tokio::select! {
            changed = newest.changed() => {
                if changed.is_err() || newest.borrow_and_update().is_none() {
                    return close(&mut socket, close_code::RESTART, "the server is stopping").await;
                }
            }
            message = socket.recv() => match message {
                // Listeners have nothing to say; that they say something shows that they are there.
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => answered = true,
            },
            _ = ping.tick() => {
                if !std::mem::take(&mut answered) || send(&mut socket, Message::Ping(bytes::Bytes::new())).await.is_err() {
                    return;
                }
            }
        }
    }
}
