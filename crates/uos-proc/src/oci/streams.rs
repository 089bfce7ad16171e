//! What leads between a child's ends and the one connection that the engine gives for all three streams.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

/// How much may lie between the engine and a reader. When it is full, the engine is not read.
pub(super) const ROOM: usize = 64 << 10;

/// Takes apart what the program writes. What nobody wants, or reads any more, is thrown away, so that the other stream
/// goes on. Ends with the connection.
pub(super) async fn hand_out(
    mut from: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    [mut stdout, mut stderr]: [Option<DuplexStream>; 2],
) {
    while let Some(Ok(said)) = from.next().await {
        let (to, message) = match said {
            LogOutput::StdOut { message } | LogOutput::Console { message } => (&mut stdout, message),
            LogOutput::StdErr { message } => (&mut stderr, message),
            LogOutput::StdIn { .. } => continue,
        };
        if let Some(end) = to
            && end.write_all(&message).await.is_err()
        {
            *to = None;
        }
    }
}

/// Brings the program what is written for it, and its end of file.
pub(super) async fn bring_in(mut from: DuplexStream, mut to: Pin<Box<dyn AsyncWrite + Send>>) {
    let mut room = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut room).await {
        if to.write_all(&room[..read]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
