//! What takes a kernel: memory, descriptors and sockets that other processes have a part in. Linux only.

pub(crate) mod shm;
