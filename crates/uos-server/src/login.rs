//! Logins of browsers: tickets that work once, and cookies that are kept across restarts as hashes only.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::{random_id, store::now_us};

/// How long a ticket may be used.
pub(crate) const TICKET: Duration = Duration::from_secs(300);
/// How many tickets may be open.
const TICKETS: usize = 64;
/// How long a login lasts: 30 days.
pub(crate) const LOGIN_SECONDS: i64 = 30 * 86_400;
/// How many logins are kept; the one that ends first makes room.
const LOGINS: usize = 256;

/// The hash of a cookie.
pub(crate) type CookieHash = [u8; 32];

/// Who is logged in. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Logins(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    /// By hash, when each was made.
    tickets: HashMap<CookieHash, Instant>,
    /// By hash, when each ends.
    cookies: HashMap<CookieHash, i64>,
}

fn hash(secret: &str) -> CookieHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Whether a ticket still works.
fn is_fresh(made: Instant, now: Instant) -> bool {
    now.saturating_duration_since(made) < TICKET
}

fn secret() -> String {
    random_id() + &random_id()
}

impl Logins {
    /// The logins that were kept.
    pub(crate) fn of(kept: impl IntoIterator<Item = (CookieHash, i64)>) -> Self {
        let logins = Self::default();
        logins.0.lock().cookies.extend(kept);
        logins
    }

    /// A new ticket.
    pub(crate) fn ticket(&self) -> String {
        self.ticket_at(Instant::now())
    }

    fn ticket_at(&self, now: Instant) -> String {
        let ticket = secret();
        let mut books = self.0.lock();
        books.tickets.retain(|_, made| is_fresh(*made, now));
        if books.tickets.len() >= TICKETS
            && let Some(oldest) = books.tickets.iter().min_by_key(|(_, made)| **made).map(|(hash, _)| *hash)
        {
            books.tickets.remove(&oldest);
        }
        books.tickets.insert(hash(&ticket), now);
        ticket
    }

    /// Takes a ticket; it works once.
    pub(crate) fn take(&self, ticket: &str) -> bool {
        self.take_at(ticket, Instant::now())
    }

    fn take_at(&self, ticket: &str, now: Instant) -> bool {
        self.0.lock().tickets.remove(&hash(ticket)).is_some_and(|made| is_fresh(made, now))
    }

    /// A new cookie's secret, which nobody knows yet, and the row to keep of it.
    pub(crate) fn prepare() -> (String, CookieHash, i64) {
        let secret = secret();
        let row = hash(&secret);
        (secret, row, now_us() + LOGIN_SECONDS * 1_000_000)
    }

    /// Lets a cookie in. Hands back those that had to make room.
    pub(crate) fn admit(&self, row: CookieHash, expires_us: i64) -> Vec<CookieHash> {
        let mut books = self.0.lock();
        let now = now_us();
        let mut gone: Vec<_> =
            books.cookies.iter().filter(|(_, ends)| **ends <= now).map(|(hash, _)| *hash).collect();
        if books.cookies.len() - gone.len() >= LOGINS
            && let Some(first) =
                books.cookies.iter().filter(|(_, ends)| **ends > now).min_by_key(|(_, ends)| **ends)
        {
            gone.push(*first.0);
        }
        for hash in &gone {
            books.cookies.remove(hash);
        }
        books.cookies.insert(row, expires_us);
        gone
    }

    /// Whether a cookie's secret is that of a login.
    pub(crate) fn knows(&self, secret: &str) -> bool {
        self.0.lock().cookies.get(&hash(secret)).is_some_and(|ends| *ends > now_us())
    }

    /// Ends a login. Hands back its row.
    pub(crate) fn end(&self, secret: &str) -> CookieHash {
        let row = hash(secret);
        self.0.lock().cookies.remove(&row);
        row
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LOGINS, Logins, TICKET};
    use crate::store::now_us;

    #[test]
    fn a_ticket_works_once_and_only_if_it_was_given() {
        let logins = Logins::default();
        let ticket = logins.ticket();
        assert!(!logins.take("") && !logins.take("x"));
        assert!(logins.take(&ticket) && !logins.take(&ticket));
    }

    #[test]
    fn a_ticket_works_for_five_minutes_and_no_longer() {
        let (logins, made) = (Logins::default(), Instant::now());
        let (early, late) = (logins.ticket_at(made), logins.ticket_at(made));
        assert!(logins.take_at(&early, made + TICKET - Duration::from_nanos(1)));
        assert!(!logins.take_at(&late, made + TICKET));
        assert!(!logins.take_at(&late, made), "who came too late has used it up");
    }

    #[test]
    fn too_many_tickets_push_out_the_oldest() {
        let logins = Logins::default();
        let first = logins.ticket();
        let more: Vec<_> = (0..64).map(|_| logins.ticket()).collect();
        assert!(!logins.take(&first) && more.iter().all(|ticket| logins.take(ticket)));
    }

    #[test]
    fn a_cookie_is_known_until_it_ends_or_is_late() {
        let logins = Logins::default();
        let (secret, row, ends) = Logins::prepare();
        assert!(!logins.knows(&secret));
        logins.admit(row, ends);
        assert!(logins.knows(&secret));
        logins.end(&secret);
        assert!(!logins.knows(&secret));
        logins.admit(row, now_us() - 1);
        assert!(!logins.knows(&secret));
    }

    #[test]
    fn the_login_that_ends_first_makes_room() {
        let logins = Logins::default();
        let soonest = Logins::prepare();
        logins.admit(soonest.1, now_us() + 1_000_000_000);
        let gone: Vec<_> = (0..LOGINS)
            .flat_map(|_| {
                let (_, row, ends) = Logins::prepare();
                logins.admit(row, ends)
            })
            .collect();
        assert_eq!(gone, [soonest.1]);
    }
}
