//! What can be set of a socket: kept here, and told to each socket of the host that comes to stand behind it.

use std::{io, ops::RangeInclusive};

use rustix::net::sockopt;
use uos_proto::v1::SocketOption;

use super::{HostSocket, Kind};
use crate::{Errno, Error, net::errno_of};

/// How large a buffer may be.
const BUFFERS: RangeInclusive<u64> = (4 << 10)..=(4 << 20);
const FLAG: RangeInclusive<u64> = 0..=1;

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knob {
    NoDelay,
    KeepAlive,
    ReuseAddress,
    Broadcast,
    Ttl,
    SendBuffer,
    ReceiveBuffer,
}

/// All of them.
#[derive(Clone, Copy)]
pub(crate) struct Knobs {
    no_delay: u64,
    keep_alive: u64,
    reuse_address: u64,
    broadcast: u64,
    ttl: u64,
    send_buffer: u64,
    receive_buffer: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        let buffer = uos_ipc::SOCKET_BYTES as u64;
        Self {
            no_delay: 0,
            keep_alive: 0,
            reuse_address: 1,
            broadcast: 0,
            ttl: 64,
            send_buffer: buffer,
            receive_buffer: buffer,
        }
    }
}

impl Knob {
    /// The option that is meant, of those that this kind of socket has.
    pub(crate) fn parse(option: i32, kind: Kind) -> Result<Self, Error> {
        let knob = match SocketOption::try_from(option) {
            Ok(SocketOption::NoDelay) => Self::NoDelay,
            Ok(SocketOption::KeepAlive) => Self::KeepAlive,
            Ok(SocketOption::ReuseAddress) => Self::ReuseAddress,
            Ok(SocketOption::Broadcast) => Self::Broadcast,
            Ok(SocketOption::Ttl) => Self::Ttl,
            Ok(SocketOption::SendBufferBytes) => Self::SendBuffer,
            Ok(SocketOption::ReceiveBufferBytes) => Self::ReceiveBuffer,
            Ok(SocketOption::Unspecified) | Err(_) => {
                return Err(Error::invalid("option", format_args!("{option} is not a SocketOption")));
            }
        };
        let has = match kind {
            Kind::Tcp => knob != Self::Broadcast,
            Kind::Udp => !matches!(knob, Self::NoDelay | Self::KeepAlive | Self::ReuseAddress),
            Kind::Unix(_) => matches!(knob, Self::SendBuffer | Self::ReceiveBuffer),
        };
        if has { Ok(knob) } else { Err(Errno::ENOPROTOOPT.into()) }
    }

    /// A value that it can be set to.
    pub(crate) fn value(self, value: u64) -> Result<u64, Error> {
        let range = match self {
            Self::SendBuffer | Self::ReceiveBuffer => BUFFERS,
            Self::Ttl => 1..=255,
            _ => FLAG,
        };
        match range.contains(&value) {
            true => Ok(value),
            false => {
                let (first, last) = range.into_inner();
                Err(Error::invalid("value", format_args!("{first} to {last}, not {value}")))
            }
        }
    }
}

impl Knobs {
    pub(crate) fn get(&self, knob: Knob) -> u64 {
        match knob {
            Knob::NoDelay => self.no_delay,
            Knob::KeepAlive => self.keep_alive,
            Knob::ReuseAddress => self.reuse_address,
            Knob::Broadcast => self.broadcast,
            Knob::Ttl => self.ttl,
            Knob::SendBuffer => self.send_buffer,
            Knob::ReceiveBuffer => self.receive_buffer,
        }
    }

    /// The same with one of them set.
    pub(crate) fn with(mut self, knob: Knob, value: u64) -> Self {
        *match knob {
            Knob::NoDelay => &mut self.no_delay,
            Knob::KeepAlive => &mut self.keep_alive,
            Knob::ReuseAddress => &mut self.reuse_address,
            Knob::Broadcast => &mut self.broadcast,
            Knob::Ttl => &mut self.ttl,
            Knob::SendBuffer => &mut self.send_buffer,
            Knob::ReceiveBuffer => &mut self.receive_buffer,
        } = value;
        self
    }

    /// What the host keeps for the socket at most.
    pub(crate) fn buffer_bytes(&self) -> u64 {
        self.send_buffer + self.receive_buffer
    }

    /// Tells them to a socket of the host.
    pub(crate) fn apply(&self, host: &HostSocket, kind: Kind) -> Result<(), Error> {
        self.tell(host, kind).map_err(|error| Error::new(errno_of(&error), error.to_string()))
    }

    fn tell(&self, host: &HostSocket, kind: Kind) -> io::Result<()> {
        let fd = host.fd();
        sockopt::set_socket_send_buffer_size(fd, self.send_buffer as usize)?;
        sockopt::set_socket_recv_buffer_size(fd, self.receive_buffer as usize)?;
        match host.is_v6() {
            true => sockopt::set_ipv6_unicast_hops(fd, Some(self.ttl as u8))?,
            false => sockopt::set_ip_ttl(fd, self.ttl as u32)?,
        }
        if kind == Kind::Tcp {
            sockopt::set_tcp_nodelay(fd, self.no_delay == 1)?;
            sockopt::set_socket_keepalive(fd, self.keep_alive == 1)?;
            sockopt::set_socket_reuseaddr(fd, self.reuse_address == 1)?;
        } else {
            sockopt::set_socket_broadcast(fd, self.broadcast == 1)?;
        }
        Ok(())
    }
}
