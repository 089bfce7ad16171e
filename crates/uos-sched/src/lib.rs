//! Scheduling policies on a given clock: pure, deterministic, free of threads and IO.
