//! Where output goes: people read standard error, machines read standard output. Colours and bars
//! are for terminals alone, and not where `NO_COLOR` is set (no-color.org).

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// What standard error can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    pub(super) terminal: bool,
    colour: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
}

impl Screen {
    pub(super) fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self { terminal, colour: terminal && !dumb && set("NO_COLOR").is_none() }
    }

    /// As a file or a pipe is.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { terminal: false, colour: false }
    }

    /// Writes a line. A reader that has gone away is no reason to fail.
    pub(super) fn say(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    pub(super) fn paint(&self, ink: Ink, text: impl Display) -> String {
        let code = match ink {
            Ink::Plain => return text.to_string(),
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Yellow => "33",
            Ink::Blue => "34",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Writes machine output: one JSON value, one line.
pub(super) fn emit(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        print_line(&text);
    }
}

/// Writes a line to standard output, at once.
pub(super) fn print_line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
