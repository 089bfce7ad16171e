//! A typed client for a uOS server.
