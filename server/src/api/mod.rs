//! To be written.

pub mod media;
