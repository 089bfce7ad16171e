//! Whole files in and out, as a process may have them.

mod download;
mod range;
mod upload;

use std::{collections::HashMap, sync::Arc};

use axum::{extract::Query, http::StatusCode, http::Uri};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use uos_proto::CallInfo;
use uos_syscall::{Caller, Pid};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Http, failure::Failure};
use crate::gate::Identity;

/// The most files that one process has on their way at once.
const AT_ONCE: usize = 32;

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new().routes(routes!(download::download, upload::upload))
}

/// As whom.
#[derive(Deserialize, IntoParams)]
struct Who {
    /// The process whose rights count. Unset or 0: whose token it is, and process 1 for the operator.
    #[serde(default)]
    pid: u64,
}

type Asked = Result<Query<Who>, axum::extract::rejection::QueryRejection>;

/// Who asks for which file: refused and written down as a call of that kind would be.
fn judge(
    http: &Http,
    identity: &Identity,
    asked: Asked,
    uri: &Uri,
    call: &'static CallInfo,
) -> Result<(Caller, Vec<u8>, Turn), Failure> {
    let Query(who) = asked.map_err(|_| Failure::invalid("pid", "a whole number is wanted"))?;
    let caller = identity.caller(&http.kernel, who.pid);
    let caller = caller.map_err(|error| identity.refused(&http.kernel, call, error))?;
    let turn = http.transfers.turn(caller.pid())?;
    Ok((caller, path(uri), turn))
}

/// The file's path, byte by byte: names need not be UTF-8.
fn path(uri: &Uri) -> Vec<u8> {
    let path = uri.path();
    percent_decode_str(path.strip_prefix("/files").unwrap_or(path)).collect()
}

/// Counts the files that are on their way, so that nobody's are too many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfers(Arc<Mutex<HashMap<Pid, usize>>>);

/// One file that is on its way.
#[derive(Debug)]
struct Turn {
    of: Transfers,
    pid: Pid,
}

impl Transfers {
    fn turn(&self, pid: Pid) -> Result<Turn, Failure> {
        let mut counts = self.0.lock();
        let count = counts.entry(pid).or_default();
        if *count == AT_ONCE {
            let message = format!("{AT_ONCE} files of this process are on their way already");
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message));
        }
        *count += 1;
        Ok(Turn { of: self.clone(), pid })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock();
        if let Some(count) = counts.get_mut(&self.pid) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Transfers, Uri, path};
    use uos_syscall::Pid;

    #[test]
    fn a_path_is_bytes() {
        let of = |text: &'static str| path(&Uri::from_static(text));
        assert_eq!(of("/files/home/a%20b?pid=3"), b"/home/a b");
        assert_eq!(of("/files/home/%ff%00%2f..%25"), b"/home/\xff\0/..%");
        assert_eq!(of("/files//home/100%"), b"//home/100%");
    }

    #[test]
    fn one_has_so_many_at_once_and_others_theirs() {
        let transfers = Transfers::default();
        let mut turns: Vec<_> =
            (0..AT_ONCE).map(|_| transfers.turn(Pid(7)).expect("there is room")).collect();
        assert_eq!(transfers.turn(Pid(7)).err().map(|failure| failure.status.as_u16()), Some(429));
        assert!(transfers.turn(Pid(8)).is_ok());
        turns.pop();
        assert!(transfers.turn(Pid(7)).is_ok());
        drop(turns);
        assert!(transfers.0.lock().is_empty());
    }
}
