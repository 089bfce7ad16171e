//! What takes a kernel: memory, descriptors and sockets that other processes have a part in. Linux only.

pub(crate) mod handoff;
mod kernel_end;
pub(crate) mod kernel_pipe;
pub(crate) mod kernel_queue;
pub(crate) mod kernel_socket;
mod kernel_stream;
pub(crate) mod line;
pub(crate) mod link;
pub(crate) mod loan;
pub(crate) mod pump;
pub(crate) mod reactor;
pub(crate) mod shm;
