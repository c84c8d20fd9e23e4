//! The ApsaraVideo VOD RPC protocol (version 2017-03-21), pure: no I/O, no async, no clock, no
//! randomness. The server parses and answers with it, the command line signs with it, the
//! explorer, the documents and the tests read its tables.
//!
//! A request's way through this crate:
//!
//! 1. [`params`] turns query and form body into one list of decoded parameters;
//! 2. [`envelope`] finds the operation, the format and the credentials ([`spec`], [`sign`]);
//! 3. [`sign`] verifies V1 (HMAC-SHA1) or V3 (ACS3-HMAC-SHA256) signatures;
//! 4. [`action`] makes a typed request of the parameters, by the limits of [`spec`];
//! 5. [`reply`] writes the answer as JSON or XML from one description; [`code`] has the errors.
//!
//! "§" in comments means a section of the wire contract, `docs/contract.md`.

pub mod action;
pub mod code;
pub mod envelope;
pub mod params;
pub mod percent;
pub mod reply;
pub mod sign;
pub mod spec;
pub mod time;
