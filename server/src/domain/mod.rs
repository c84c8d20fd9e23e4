//! The rules of the product, as pure functions and plain values.
//!
//! Nothing here awaits, reads a clock, draws a random number or knows how it is stored or sent.
//! `job` is the heart: the state machine that every store backend is measured against.

pub mod account;
pub mod attempt;
pub mod bandwidth;
pub mod digest;
pub mod estimate;
pub mod fault;
pub mod id;
pub mod job;
pub mod limiter;
pub mod media;
pub mod priority;
pub mod retry;
pub mod source_headers;
pub mod source_url;
pub mod time;
pub mod turns;
pub mod version;
