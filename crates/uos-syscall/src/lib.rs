//! The uOS kernel: one typed call table over processes, files, pipes and a scheduler.
