//! Bytes in: the guarded client that goes to addresses which callers name.

pub mod guard;
