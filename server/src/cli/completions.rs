//! `haulage completions SHELL`

use super::Outcome;
use super::screen::print_line;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: clap_complete::Shell,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "haulage", &mut script);
        print_line(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
