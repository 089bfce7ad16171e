//! A virtual filesystem: resolve a path once to a node, then work on the node.
