//! All grants of one process.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use uos_proto::Right;

use super::{address::AddressKind, grant::Grant, host::Host, hosts::HostPattern, index::Index};

/// A set of grants. What none of them allows is denied, or asked for if that may be.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// By right, so that a check looks only at grants that can answer it.
    by_right: [Vec<Arc<Grant>>; Right::ALL.len()],
    /// Those that only let ask. Kept apart, so that no check takes one for leave.
    asks: Vec<Arc<Grant>>,
    /// Made when it is first needed.
    indices: OnceLock<Arc<Indices>>,
}

/// By right, where there are many patterns of paths.
type Indices = [Option<Index>; Right::ALL.len()];

/// So many are looked at one by one, which is as quick.
const FEW: usize = 8;

impl Grants {
    /// No grants: everything is denied.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every right for everything: what process 1 holds.
    pub fn all() -> Self {
        Right::ALL
            .iter()
            .filter(|right| right.grant_name().is_some())
            .flat_map(|&right| Grant::all(right))
            .collect()
    }

    /// Adds one, unless one that covers it is there.
    pub fn add(&mut self, grant: impl Into<Arc<Grant>>) {
        let grant = grant.into();
        if !self.covers(&grant) {
            let right = grant.right() as usize;
            self.indices = OnceLock::new();
            if grant.is_ask() { &mut self.asks } else { &mut self.by_right[right] }.push(grant);
        }
    }

    /// Whether anything may be asked for.
    pub fn lets_ask(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether what `wanted` gives may be asked for.
    pub fn may_ask_for(&self, wanted: &Grant) -> bool {
        self.asks.iter().any(|ask| ask.reaches(wanted))
    }

    /// The grant that allows a right on a canonical path.
    pub fn for_path(&self, right: Right, path: &[u8]) -> Option<&Arc<Grant>> {
        let all = &self.by_right[right as usize];
        match self.index_of(right) {
            Some(index) => index.find(path).map(|number| &all[number as usize]),
            None => all.iter().find(|grant| grant.allows_path(path)),
        }
    }

    /// The index of a right, where there is one. With and without it the same is allowed.
    fn index_of(&self, right: Right) -> Option<&Index> {
        if self.by_right[right as usize].len() <= FEW {
            return None;
        }
        let indices = self.indices.get_or_init(|| {
            let index = |grants: &Vec<Arc<Grant>>| {
                let are_many = grants.len() > FEW && grants.iter().all(|grant| grant.paths().is_some());
                are_many.then(|| Index::new(grants.iter().filter_map(|grant| grant.paths())))
            };
            Arc::new(self.by_right.each_ref().map(index))
        });
        indices[right as usize].as_ref()
    }

    /// The one grant that allows a right on a canonical path and on everything that ever lies below it.
    pub fn for_all_below(&self, right: Right, path: &[u8]) -> Option<&Arc<Grant>> {
        let whole = |grant: &&Arc<Grant>| grant.paths().is_some_and(|paths| paths.matches_below(path));
        self.by_right[right as usize].iter().find(whole)
    }

    /// Whether some grant allows a right on a canonical path, or on something that could lie below it.
    pub fn reach_into(&self, right: Right, path: &[u8]) -> bool {
        let any = |grant: &Arc<Grant>| grant.paths().is_some_and(|paths| paths.reaches_into(path));
        self.by_right[right as usize].iter().any(any)
    }

    /// The grant that allows a right on a host by what it is called. It is no more than leave to look where the host is:
    /// each address that it leads to is judged by [`Grants::for_address`].
    pub fn for_host(&self, right: Right, host: &Host, port: u16) -> Option<&Arc<Grant>> {
        self.by_hosts(right, |hosts| hosts.names(host, port))
    }

    /// The grant that allows a right on an address that a host leads to, which may be the host itself. `is_own` says that
    /// this host would talk to itself there, whatever kind of address it is.
    ///
    /// An address that is granted as such is allowed. A public one is also allowed to whoever may talk to the host it is
    /// of. Any other is not, not even by the widest pattern of names; but for `localhost`, when that very name is granted.
    pub fn for_address(
        &self,
        right: Right,
        host: &Host,
        at: SocketAddr,
        is_own: bool,
    ) -> Option<&Arc<Grant>> {
        let (address, port) = (at.ip(), at.port());
        let kind = AddressKind::of(address);
        self.by_hosts(right, |hosts| hosts.holds(address, port)).or_else(|| {
            if kind == AddressKind::Public && !is_own {
                return self.for_host(right, host, port);
            }
            let itself = kind == AddressKind::Loopback && host.is_localhost();
            self.by_hosts(right, |hosts| itself && hosts.spells_out(host, port))
        })
    }

    /// The grant that allows a right on a socket of this system, by its name.
    pub fn for_socket(&self, right: Right, name: &[u8]) -> Option<&Arc<Grant>> {
        self.by_hosts(right, |hosts| hosts.holds_socket(name))
    }

    fn by_hosts(&self, right: Right, fits: impl Fn(&HostPattern) -> bool) -> Option<&Arc<Grant>> {
        self.by_right[right as usize].iter().find(|grant| grant.hosts().is_some_and(&fits))
    }

    /// Any grant of a right.
    pub fn any(&self, right: Right) -> Option<&Arc<Grant>> {
        self.by_right[right as usize].first()
    }

    /// Whether one grant here gives everything that `grant` gives, or lets its holder ask for, too.
    pub fn covers(&self, grant: &Grant) -> bool {
        self.by_right[grant.right() as usize].iter().chain(&self.asks).any(|ours| ours.covers(grant))
    }

    /// All that give something.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.by_right.iter().flatten().map(|grant| &**grant)
    }

    /// All of them, with those that only let ask.
    pub fn with_asks(&self) -> impl Iterator<Item = &Grant> {
        self.iter().chain(self.asks.iter().map(|grant| &**grant))
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<T: IntoIterator<Item = Grant>>(grants: T) -> Self {
        let mut set = Self::none();
        for grant in grants {
            set.add(grant);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uos_proto::Right;

    use super::{Grant, Grants, Host};

    #[test]
    fn nothing_is_allowed_by_default() {
        for &right in Right::ALL {
            assert!(Grants::none().for_path(right, b"/").is_none());
            assert!(Grants::none().any(right).is_none());
        }
    }

    #[test]
    fn all_covers_the_vocabulary() {
        for text in [
            "fs.write:/etc/x",
            "sys.admin",
            "net.connect:h:1",
            "net.connect:localhost",
            "net.bind:127.0.0.1:1",
            "net.bind:[::1]",
            "net.connect:unix:/x",
            "net.resolve:h",
            "proc.spawn:/bin/sh",
        ] {
            assert!(Grants::all().covers(&Grant::parse(text).unwrap()), "{text}");
        }
        assert!(Grants::all().any(Right::None).is_none());
    }

    #[test]
    fn what_is_said_of_all_below_is_said_by_right() {
        let texts = ["fs.read:/a/b", "fs.read:/a/*/**", "fs.write:/c/**", "sys.info"];
        let grants: Grants = texts.map(|text| Grant::parse(text).unwrap()).into_iter().collect();
        let whole = |right, path: &str| grants.for_all_below(right, path.as_bytes()).map(ToString::to_string);
        assert_eq!(whole(Right::FsRead, "/a/b").as_deref(), Some("fs.read:/a/*/**"));
        assert_eq!(whole(Right::FsRead, "/a"), None);
        assert_eq!(whole(Right::FsRead, "/c"), None);
        assert_eq!(whole(Right::FsWrite, "/c/d").as_deref(), Some("fs.write:/c/**"));
        for (right, path, expected) in [
            (Right::FsRead, "/", true),
            (Right::FsRead, "/a", true),
            (Right::FsRead, "/b", false),
            (Right::FsWrite, "/a", false),
            (Right::FsWrite, "/c/d", true),
        ] {
            assert_eq!(grants.reach_into(right, path.as_bytes()), expected, "{right:?} {path}");
        }
        assert_eq!(grants.any(Right::SysInfo).map(ToString::to_string).as_deref(), Some("sys.info"));
        assert!(grants.any(Right::SysAdmin).is_none());
        let all: Vec<String> = grants.iter().map(ToString::to_string).collect();
        assert_eq!(all.len(), texts.len());
        assert!(texts.iter().all(|text| all.iter().any(|one| one == text)), "{all:?}");
    }

    #[test]
    fn many_say_what_each_of_them_says() {
        let text = |n: usize| {
            if n.is_multiple_of(7) { format!("fs.read:/d{n}/*/x") } else { format!("fs.read:/d{n}/**") }
        };
        let mut grants = Grants::none();
        for n in 0..100 {
            grants.add(Grant::parse(&text(n)).unwrap());
            // Also what is added after the first look counts.
            assert_eq!(
                grants.for_path(Right::FsRead, format!("/d{n}/y/x").as_bytes()).unwrap().to_string(),
                text(n)
            );
            assert!(grants.for_path(Right::FsRead, format!("/d{}/y/x", n + 1).as_bytes()).is_none());
        }
        let copy = grants.clone();
        assert!(copy.for_path(Right::FsRead, b"/d50/y").is_some());
        assert!(copy.for_path(Right::FsRead, b"/d49/y").is_none());
        assert!(copy.for_path(Right::FsWrite, b"/d50/y").is_none());
    }

    #[test]
    fn what_may_be_asked_for_is_not_given() {
        let texts = ["ask:fs.read:/a/**", "ask:sys.admin", "ask:net.connect:*", "fs.read:/a/b"];
        let grants: Grants = texts.map(|text| Grant::parse(text).unwrap()).into_iter().collect();
        assert!(grants.for_path(Right::FsRead, b"/a/c").is_none());
        assert!(grants.for_path(Right::FsRead, b"/a/b").is_some());
        assert!(grants.for_all_below(Right::FsRead, b"/a").is_none());
        assert!(!grants.reach_into(Right::FsRead, b"/a/c"));
        assert!(grants.any(Right::SysAdmin).is_none());
        assert!(grants.for_host(Right::NetConnect, &Host::parse("h").unwrap(), 1).is_none());
        assert!(grants.lets_ask());
        assert!(!Grants::none().lets_ask());
        assert!(!Grants::all().lets_ask());
        let may = |text: &str| grants.may_ask_for(&Grant::parse(text).unwrap());
        for (text, expected) in [
            ("fs.read:/a/c", true),
            ("sys.admin", true),
            ("net.connect:h:1", true),
            ("fs.read:/b", false),
            ("fs.write:/a/c", false),
            ("sys.info", false),
        ] {
            assert_eq!(may(text), expected, "{text}");
        }
        assert_eq!(grants.iter().count(), 1);
        assert_eq!(grants.with_asks().count(), texts.len());
        // Who has it all need not ask.
        let mut all = Grants::all();
        let before = all.with_asks().count();
        all.add(Grant::parse("ask:fs.read:/a/**").unwrap());
        assert_eq!(all.with_asks().count(), before);
    }

    fn verdict(grants: &[&str], host: &str, at: &str, is_own: bool) -> bool {
        let grants: Grants = grants.iter().map(|text| Grant::parse(text).unwrap()).collect();
        let host = Host::parse(host).unwrap();
        grants.for_address(Right::NetConnect, &host, at.parse().unwrap(), is_own).is_some()
    }

    #[test]
    fn a_table_of_where_a_host_may_lead() {
        for (given, host, at, expected) in [
            ("net.connect:*", "a.org", "8.8.8.8:443", true),
            ("net.connect:*", "8.8.8.8", "8.8.8.8:443", true),
            ("net.connect:*:80", "a.org", "8.8.8.8:443", false),
            ("net.connect:*", "a.org", "127.0.0.1:443", false),
            ("net.connect:*", "localhost", "127.0.0.1:443", false),
            ("net.connect:a.org", "a.org", "8.8.8.8:443", true),
            ("net.connect:a.org", "a.org", "10.0.0.1:443", false),
            ("net.connect:a.org", "a.org", "[fd00:ec2::254]:80", false),
            ("net.connect:a.org", "b.org", "8.8.8.8:443", false),
            ("net.connect:10.0.0.0/8", "a.org", "10.0.0.1:443", true),
            ("net.connect:10.0.0.0/8:80", "a.org", "10.0.0.1:443", false),
            ("net.connect:10.0.0.0/8", "a.org", "[::ffff:10.0.0.1]:443", true),
            ("net.connect:localhost:80", "localhost", "127.0.0.1:80", true),
            ("net.connect:localhost:80", "localhost", "[::1]:80", true),
            ("net.connect:localhost:80", "localhost", "127.0.0.1:81", false),
            ("net.connect:localhost", "localhost", "10.0.0.1:80", false),
            ("net.connect:localhost", "127.0.0.1", "127.0.0.1:80", false),
            ("net.connect:127.0.0.1", "localhost", "127.0.0.1:80", true),
            ("net.bind:*", "a.org", "8.8.8.8:443", false),
        ] {
            assert_eq!(verdict(&[given], host, at, false), expected, "{given} on {host} at {at}");
        }
        // This host by an address that looks public.
        assert!(!verdict(&["net.connect:*"], "a.org", "8.8.8.8:1", true));
        assert!(verdict(&["net.connect:8.8.8.8"], "a.org", "8.8.8.8:1", true));
    }

    #[test]
    fn sockets_are_granted_by_their_names() {
        let grants: Grants = ["net.connect:*", "net.bind:unix:/run/**"]
            .map(|text| Grant::parse(text).unwrap())
            .into_iter()
            .collect();
        assert!(grants.for_socket(Right::NetBind, b"/run/db").is_some());
        assert!(grants.for_socket(Right::NetBind, b"/runner").is_none());
        assert!(grants.for_socket(Right::NetConnect, b"/run/db").is_none());
    }

    proptest! {
        /// What a set allows is exactly what one of its grants allows.
        #[test]
        fn a_set_is_the_union_of_its_grants(
            patterns in prop::collection::vec("(/([ab*]|[ab]{2})){1,3}(/\\*\\*)?", 0..6),
            path in "(/[ab]{1,2}){1,4}",
        ) {
            let parsed: Vec<Grant> =
                patterns.iter().filter_map(|text| Grant::parse(&format!("fs.read:{text}")).ok()).collect();
            let alone = parsed.iter().any(|grant| grant.allows_path(path.as_bytes()));
            let set: Grants = parsed.into_iter().collect();
            prop_assert_eq!(set.for_path(Right::FsRead, path.as_bytes()).is_some(), alone);
            prop_assert!(set.for_path(Right::FsWrite, path.as_bytes()).is_none());
        }
    }
}
