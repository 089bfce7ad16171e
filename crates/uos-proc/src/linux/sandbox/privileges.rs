//! Laying down every right the spawner has, for good.

use super::super::life::{Arg, Life, Then};
use super::plan::Ids;
use super::seccomp::Filter;
use crate::Stage;
use std::ffi::{CStr, CString, c_int, c_long};
use std::sync::Arc;

const SECCOMP_SET_MODE_FILTER: c_int = 1;

/// No rights by being root, none kept or raised, all of it locked; that changing the uid lays rights down stays.
const SECURE_BITS: c_int = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x80;

impl Life {
    /// Capabilities go from every set: from the bounding set, so that no program executed later can have them, then
    /// from those in force. `last_capability` is none where that is done already or can't be; `ids` is whom the process
    /// becomes, where it can.
    pub(super) fn lay_down_rights(&mut self, last_capability: Option<u32>, ids: Option<Ids>) {
        if let Some(last) = last_capability {
            self.drop_bounding_set(last);
        }
        if let Some(Ids { uid, gid }) = ids {
            let (uid, gid) = (Arg::Is(uid.into()), Arg::Is(gid.into()));
            self.stage(Stage::Privileges("groups"));
            self.call(libc::SYS_setgroups, [0.into(), 0.into()]);
            self.call(libc::SYS_setresgid, [gid, gid, gid]);
            self.stage(Stage::Privileges("user"));
            self.call(libc::SYS_setresuid, [uid, uid, uid]);
        }
        self.no_capabilities();
    }

    /// No program executed from here on can have a capability, whatever its file says and whoever runs it.
    pub(super) fn drop_bounding_set(&mut self, last: u32) {
        self.stage(Stage::Privileges("bounding set"));
        for capability in 0..=last {
            self.call(libc::SYS_prctl, [libc::PR_CAPBSET_DROP.into(), Arg::Is(capability.into())]);
        }
        self.stage(Stage::Privileges("secure bits"));
        self.call(libc::SYS_prctl, [libc::PR_SET_SECUREBITS.into(), SECURE_BITS.into()]);
        self.stage(Stage::Privileges("ambient set"));
        let clear = [libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0];
        self.call(libc::SYS_prctl, clear.map(Arg::from));
    }

    /// In a fresh user namespace, the user outside is `ids` inside, and nobody else is anybody.
    pub(super) fn map_user(&mut self, ids: Ids) {
        self.stage(Stage::Namespace("user"));
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        self.write_file(c"/proc/self/setgroups", "deny".to_owned());
        self.write_file(c"/proc/self/uid_map", format!("{} {uid} 1\n", ids.uid));
        self.write_file(c"/proc/self/gid_map", format!("{} {gid} 1\n", ids.gid));
    }

    fn write_file(&mut self, path: &'static CStr, text: String) {
        let len = c_long::try_from(text.len()).expect("a short text");
        let text = self.text(CString::new(text).expect("digits are not NUL"));
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let file = self.keep(libc::SYS_openat, [libc::AT_FDCWD.into(), Life::fixed(path), flags.into()]);
        self.call(libc::SYS_write, [file, text, len.into()]);
        self.call(libc::SYS_close, [file]);
    }

    /// From the effective, the permitted and the inheritable set.
    pub(super) fn no_capabilities(&mut self) {
        self.stage(Stage::Privileges("capabilities"));
        // Version 3 of the interface, this process; then three sets of two words.
        let header = self.words([0x2008_0522]);
        let none = self.words([0; 3]);
        self.call(libc::SYS_capset, [header, none]);
    }

    /// Changing the uid has undone the tie to the spawner. It is tied again; `spawner` is the number of a descriptor of
    /// the spawning program, to see whether it was there all the while: its id is not known in here.
    pub(super) fn tie_again(&mut self, spawner: c_int) {
        self.uses_fd(spawner);
        self.tie();
        let watched = self.words([u64::from(spawner.cast_unsigned()) | (libc::POLLIN as u64) << 32]);
        let at_once = self.words([0, 0]);
        let args = [watched, 1.into(), at_once, 0.into(), 8.into()];
        self.push(libc::SYS_ppoll, args, Then::MustBe(0));
    }

    /// The last thing before the program: from here on only what the filter allows.
    pub(super) fn load_filter(&mut self, filter: Arc<Filter>) {
        self.stage(Stage::Seccomp);
        let instructions = filter.instructions();
        let length = instructions.len() as u64;
        let address = instructions.as_ptr() as u64;
        let program = self.words([length, address]);
        self.keep_alive(filter);
        self.call(libc::SYS_seccomp, [SECCOMP_SET_MODE_FILTER.into(), 0.into(), program]);
    }

    /// Has the loopback interface of a fresh network namespace up.
    pub(super) fn raise_loopback(&mut self) {
        self.stage(Stage::Namespace("loopback"));
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        let socket = self.keep(libc::SYS_socket, [libc::AF_INET.into(), kind.into(), 0.into()]);
        // An `ifreq`: sixteen bytes of name, then the flags.
        let name = u64::from_ne_bytes(*b"lo\0\0\0\0\0\0");
        let up = self.words([name, 0, (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned().into(), 0, 0]);
        self.call(libc::SYS_ioctl, [socket, Arg::Is(libc::SIOCSIFFLAGS.cast_signed()), up]);
    }

    /// A name of its own for the machine it seems to be.
    pub(super) fn name_machine(&mut self) {
        self.stage(Stage::Namespace("hostname"));
        let name = Life::fixed(c"sandbox");
        self.call(libc::SYS_sethostname, [name, Arg::Is(7 as c_long)]);
    }
}
