//! What happened, in order: a running hash always, the lines themselves when somebody reads them.

use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

#[derive(Debug)]
pub struct Trace {
    began: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    hash: u64,
    events: u64,
    line: String,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// With `readable`, the lines are kept.
    pub fn new(readable: bool) -> Self {
        let lines = readable.then(Vec::new);
        let kept = Kept { hash: 0xcbf2_9ce4_8422_2325, events: 0, line: String::new(), lines };
        Self { began: Instant::now(), kept: Mutex::new(kept) }
    }

    pub fn note(&self, what: fmt::Arguments<'_>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = std::mem::take(&mut kept.line);
        line.clear();
        let at = self.began.elapsed();
        // Writing to a String does not fail.
        let _ = write!(line, "{:>4}.{:03} {what}", at.as_secs(), at.subsec_millis());
        for byte in line.bytes().chain([b'\n']) {
            kept.hash = (kept.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        kept.events += 1;
        if let Some(lines) = &mut kept.lines {
            lines.push(line.clone());
        }
        kept.line = line;
    }

    /// Hash and number of events so far.
    pub fn sum(&self) -> (u64, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.hash, kept.events)
    }

    pub fn take_lines(&self) -> Vec<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.take().unwrap_or_default()
    }
}
