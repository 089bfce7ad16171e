//! Start, watch and stop real operating system processes.
