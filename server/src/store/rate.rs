//! The calls that nodes may let pass together (ADR 0021).

/// What [`super::Store::rate_take`] allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateGrant {
    /// Calls; 0 when the second is full.
    pub calls: u32,
    /// Milliseconds until there is room, when there is none.
    pub retry_after_ms: u64,
}
