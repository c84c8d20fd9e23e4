//! The only doors to what is not determined: time, randomness, sealed secrets. Everything else
//! takes a time or a number as a parameter, so that tests and simulations can choose it.

pub mod clock;
pub mod random;
pub mod schedule;
pub mod sealed_headers;
pub mod vault;

pub use clock::Clock;
