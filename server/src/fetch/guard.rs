//! The egress firewall.

pub use super::allow::{BadEgressAllow, EgressAllow};
