//! The uOS server: one binary, one port, gRPC and HTTP.
