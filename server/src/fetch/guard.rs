//! The egress firewall.

/// One entry of `HAULAGE_EGRESS_ALLOW`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressAllow;
