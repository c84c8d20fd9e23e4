//! Both signatures, for the server that verifies and the clients that sign.

pub mod client;
pub mod v1;
pub mod v3;
