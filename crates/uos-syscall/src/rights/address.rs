//! What kind of address an address is: whether it is out there for everybody, or somewhere that only trusted hands should reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// A place on the public Internet.
    Public,
    /// This host itself.
    Loopback,
    /// No address: `0.0.0.0/8` and `::`, which lead to this host too.
    Unspecified,
    /// The neighbours on the cable, among them the metadata services of clouds.
    LinkLocal,
    /// A network behind a router, a provider's included.
    Private,
    /// Many at once.
    Multicast,
    /// For documentation, measurements, or for nobody yet.
    Reserved,
    /// Another address in disguise: a gateway on the way makes it out of this one.
    Translated,
}

impl AddressKind {
    /// The kind of an address. One that is written as IPv6 and means IPv4 is of the kind of what it means.
    pub fn of(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// In a word, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Translated => "translated",
        }
    }
}

/// The address that the host's network would use: `::ffff:127.0.0.1` is 127.0.0.1.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [0, ..] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [169, 254, ..] => AddressKind::LinkLocal,
        // 100.64.0.0/10 is what a provider puts its customers behind, and one cloud its metadata.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => AddressKind::Private,
        [224..=239, ..] => AddressKind::Multicast,
        // Protocol assignments, documentation, 6to4's anycast, benchmarks, and what begins with four ones, broadcast included.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressKind::Reserved,
        [198, 18..=19, ..] | [240..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

/// Public is only what has been given out as such; whatever else there is or will be is not.
fn of_v6(address: Ipv6Addr) -> AddressKind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        // The old form of an IPv4 address in an IPv6 one.
        [0, 0, 0, 0, 0, 0, ..] => AddressKind::Translated,
        // What a network without IPv4 reaches the IPv4 Internet by: as public as what it carries, and no more than that.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            let [.., a, b, c, d] = address.octets();
            match of_v4(Ipv4Addr::new(a, b, c, d)) {
                AddressKind::Public => AddressKind::Public,
                _ => AddressKind::Translated,
            }
        }
        [0x64, 0xff9b, 1, ..] => AddressKind::Translated,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressKind::Private,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        // Teredo and 6to4 carry an IPv4 address that a gateway sends to; nobody who is to be reached has only such a one.
        [0x2001, 0, ..] | [0x2002, ..] => AddressKind::Translated,
        [0x2001, 0x0001..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => {
            AddressKind::Reserved
        }
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::AddressKind;

    #[test]
    fn every_kind_has_a_word_for_people() {
        for (text, word) in [
            ("8.8.8.8", "public"),
            ("127.0.0.1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("169.254.169.254", "link-local"),
            ("10.0.0.1", "private"),
            ("224.0.0.1", "multicast"),
            ("192.0.2.1", "reserved"),
            ("64:ff9b::a00:1", "translated"),
        ] {
            assert_eq!(AddressKind::of(text.parse().unwrap()).name(), word, "{text}");
        }
    }

    #[test]
    fn a_table_of_kinds() {
        for (text, kind) in [
            ("0.0.0.0", AddressKind::Unspecified),
            ("0.255.255.255", AddressKind::Unspecified),
            ("1.0.0.0", AddressKind::Public),
            ("9.255.255.255", AddressKind::Public),
            ("10.0.0.0", AddressKind::Private),
            ("10.255.255.255", AddressKind::Private),
            ("11.0.0.0", AddressKind::Public),
            ("100.63.255.255", AddressKind::Public),
            ("100.64.0.0", AddressKind::Private),
            ("100.100.100.200", AddressKind::Private),
            ("100.127.255.255", AddressKind::Private),
            ("100.128.0.0", AddressKind::Public),
            ("126.255.255.255", AddressKind::Public),
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.255.255", AddressKind::Loopback),
            ("128.0.0.0", AddressKind::Public),
            ("169.253.255.255", AddressKind::Public),
            ("169.254.169.254", AddressKind::LinkLocal),
            ("169.255.0.0", AddressKind::Public),
            ("172.15.255.255", AddressKind::Public),
            ("172.16.0.0", AddressKind::Private),
            ("172.31.255.255", AddressKind::Private),
            ("172.32.0.0", AddressKind::Public),
            ("191.255.255.255", AddressKind::Public),
            ("192.0.0.192", AddressKind::Reserved),
            ("192.0.1.0", AddressKind::Public),
            ("192.0.2.255", AddressKind::Reserved),
            ("192.0.3.0", AddressKind::Public),
            ("192.88.98.255", AddressKind::Public),
            ("192.88.99.1", AddressKind::Reserved),
            ("192.167.255.255", AddressKind::Public),
            ("192.168.0.1", AddressKind::Private),
            ("192.169.0.0", AddressKind::Public),
            ("198.17.255.255", AddressKind::Public),
            ("198.18.0.0", AddressKind::Reserved),
            ("198.19.255.255", AddressKind::Reserved),
            ("198.20.0.0", AddressKind::Public),
            ("198.51.99.255", AddressKind::Public),
            ("198.51.100.7", AddressKind::Reserved),
            ("203.0.112.255", AddressKind::Public),
            ("203.0.113.7", AddressKind::Reserved),
            ("223.255.255.255", AddressKind::Public),
            ("224.0.0.1", AddressKind::Multicast),
            ("239.255.255.255", AddressKind::Multicast),
            ("240.0.0.0", AddressKind::Reserved),
            ("255.255.255.255", AddressKind::Reserved),
            ("::", AddressKind::Unspecified),
            ("::1", AddressKind::Loopback),
            ("::2", AddressKind::Translated),
            ("::7f00:1", AddressKind::Translated),
            ("::808:808", AddressKind::Translated),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("::ffff:169.254.169.254", AddressKind::LinkLocal),
            ("::ffff:8.8.8.8", AddressKind::Public),
            ("64:ff9b::8.8.8.8", AddressKind::Public),
            ("64:ff9b::127.0.0.1", AddressKind::Translated),
            ("64:ff9b::169.254.169.254", AddressKind::Translated),
            ("64:ff9b::10.1.2.3", AddressKind::Translated),
            ("64:ff9b:1::8.8.8.8", AddressKind::Translated),
            ("64:ff9b:0:0:1::8.8.8.8", AddressKind::Reserved),
            ("100::1", AddressKind::Reserved),
            ("1fff::1", AddressKind::Reserved),
            ("2000::1", AddressKind::Public),
            ("2001::1", AddressKind::Translated),
            ("2001:0:7f00:1::", AddressKind::Translated),
            ("2001:1::1", AddressKind::Reserved),
            ("2001:2::1", AddressKind::Reserved),
            ("2001:1ff::1", AddressKind::Reserved),
            ("2001:200::1", AddressKind::Public),
            ("2001:db7::1", AddressKind::Public),
            ("2001:db8::1", AddressKind::Reserved),
            ("2001:db9::1", AddressKind::Public),
            ("2001:4860:4860::8888", AddressKind::Public),
            ("2002:7f00:1::", AddressKind::Translated),
            ("2002:808:808::", AddressKind::Translated),
            ("2003::1", AddressKind::Public),
            ("2606:4700::1111", AddressKind::Public),
            ("3ffe::1", AddressKind::Public),
            ("3fff:fff::1", AddressKind::Reserved),
            ("3fff:1000::1", AddressKind::Public),
            ("4000::1", AddressKind::Reserved),
            ("5f00::1", AddressKind::Reserved),
            ("fbff::1", AddressKind::Reserved),
            ("fc00::1", AddressKind::Private),
            ("fd00:ec2::254", AddressKind::Private),
            ("fdff::1", AddressKind::Private),
            ("fe00::1", AddressKind::Reserved),
            ("fe7f::1", AddressKind::Reserved),
            ("fe80::1", AddressKind::LinkLocal),
            ("febf::1", AddressKind::LinkLocal),
            ("fec0::1", AddressKind::Private),
            ("feff::1", AddressKind::Private),
            ("ff02::1", AddressKind::Multicast),
        ] {
            let kind_is = AddressKind::of(text.parse().expect("an address"));
            assert_eq!(kind_is, kind, "{text}");
            assert!(!kind.name().is_empty());
        }
    }
}
