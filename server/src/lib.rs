//! Haulage: pulls media from URLs into its users' own storage and speaks the ApsaraVideo VOD API.
//!
//! Start with `ARCHITECTURE.md`; `domain` holds the rules, `store` keeps them, `worker` is the
//! story of one job, `api` and `ops` answer requests, `fetch` goes out, `blob` and `probe` keep
//! and understand what comes in.

pub mod api;
pub mod blob;
pub mod cli;
pub mod client;
pub mod config;
pub mod domain;
pub mod door;
pub mod fetch;
pub mod ops;
pub mod probe;
pub mod run;
pub mod store;
pub mod telemetry;
pub mod web;
pub mod worker;
