//! The uOS contract: protobuf messages, the gRPC service and the typed call table.
