//! The console over HTTP, as a browser without scripts has it, and its live stream.

mod acting;
pub mod browser;
mod pages;
mod sessions;
