//! The product from the outside: a real server, a real origin, signed requests.
//!
//! `harness` is what the tests stand on. Long forms of the campaigns are the same tests with a
//! greater count from the environment (`docs/testing.md`).

#![expect(unreachable_pub, reason = "a test crate has no outside")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod architecture;
mod backup;
mod bad_input;
mod browser;
mod campaigns;
mod cli;
mod confided;
mod console;
mod content;
mod deploy;
mod digests;
mod disk;
mod explorer;
mod faults;
mod flow;
mod harness;
mod limits;
mod operators;
mod play;
mod queueing;
mod race;
mod readme;
mod renewal;
mod resume;
mod sdk;
mod secrets;
mod stopping;
mod storage;
mod syscalls;
