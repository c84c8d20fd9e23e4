//! The log: one subscriber, text or JSON, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging; later calls in the same process change nothing (tests start many nodes).
///
/// # Errors
/// When `filter` is not a valid filter expression.
pub fn init(filter: &str, json: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| e.to_string())?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    // The only failure is a subscriber that is already there.
    started.or(Ok(()))
}
