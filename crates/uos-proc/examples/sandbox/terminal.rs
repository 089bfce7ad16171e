//! Sitting before a program's terminal with our own.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt, stdin, stdout};
use tokio::signal::unix::{SignalKind, signal};
use uos_proc::{Child, Exit, Pty, PtySize};

/// That of our own terminal, or else the usual one.
pub(crate) fn size() -> PtySize {
    tcgetwinsize(rustix::stdio::stdin())
        .map_or_else(|_| PtySize::default(), |size| PtySize { rows: size.ws_row, columns: size.ws_col })
}

/// Passes every key on and shows everything, until the program has ended and all it showed was seen.
pub(crate) async fn sit_before(child: &Child, pty: Pty) -> io::Result<Exit> {
    let _raw = Raw::begin();
    let (mut from, mut to) = tokio::io::split(pty);
    let mut resized = signal(SignalKind::window_change())?;
    let keys = tokio::spawn(async move {
        let mut bytes = [0; 4096];
        let mut keys = stdin();
        while let Ok(read) = keys.read(&mut bytes).await {
            // The end of what we were given is, for the one before a terminal, Ctrl-D.
            let typed = if read == 0 { &b"\x04"[..] } else { &bytes[..read] };
            if to.write_all(typed).await.is_err() || read == 0 {
                break;
            }
        }
        // Held until the program has ended: letting go of the terminal would hang up.
        std::future::pending::<()>().await;
    });
    let show = async {
        let (mut bytes, mut screen) = (vec![0; 64 << 10], stdout());
        loop {
            let read = from.read(&mut bytes).await?;
            if read == 0 {
                return screen.flush().await;
            }
            screen.write_all(&bytes[..read]).await?;
            screen.flush().await?;
        }
    };
    let sizes = async {
        while resized.recv().await.is_some() {
            let _ = child.resize(size());
        }
    };
    tokio::select! {
        shown = show => shown?,
        () = sizes => {}
    }
    keys.abort();
    Ok(child.wait().await)
}

/// Our own terminal neither echoes nor interprets meanwhile: the other one does.
struct Raw(Option<Termios>);

impl Raw {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(rustix::stdio::stdin()) else { return Raw(None) };
        let mut raw = before.clone();
        raw.make_raw();
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        Raw(Some(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}
