//! Side-by-side measurements of uOS and its peers.
