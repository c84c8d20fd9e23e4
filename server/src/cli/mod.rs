//! The command line: one file a verb. What each verb does, its exit code and where its output
//! goes is fixed by the documents: human output on standard error, `--json` on standard output;
//! 0 done, 1 the server or the job said no, 2 wrong usage, 75 cannot serve now.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::client::{ClientError, Refusal};
use screen::{Ink, Screen, emit};

mod account;
mod backup;
mod cancel;
mod completions;
mod console;
mod demo;
mod doctor;
mod follow;
mod human;
mod jobs;
mod key;
mod migrate;
mod progress;
mod replace;
mod screen;
mod serve;
mod setup;
mod submit;
mod table;
mod watch;

/// The server or the job said no.
const EXIT_NO: u8 = 1;
/// Wrong usage.
const EXIT_USAGE: u8 = 2;
/// Cannot serve now (`EX_TEMPFAIL` of sysexits.h).
const EXIT_CANNOT: u8 = 75;

/// A verb for the program itself: the probe runs in a child process of its own, with limits.
const PROBE_CHILD: &str = "probe-child";

/// Pulls media from URLs into your own storage and speaks the ApsaraVideo VOD API while doing it.
#[derive(Debug, Parser)]
#[command(name = "haulage", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
First steps:
  haulage demo       see it work: real pulls, a cancel and a play URL, without any set-up
  haulage serve      start a server in ./haulage-data
  haulage submit https://example.com/a.mp4 --watch

Exit codes: 0 done; 1 the server or the job said no; 2 wrong usage; 75 cannot serve now.";

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Args),
    Demo(demo::Args),
    Submit(submit::Args),
    Jobs(jobs::Args),
    Cancel(cancel::Args),
    Replace(replace::Args),
    Watch(watch::Args),
    Account(account::Args),
    Key(key::Args),
    Console(console::Args),
    Doctor(doctor::Args),
    Migrate(migrate::Args),
    Backup(backup::Args),
    Completions(completions::Args),
}

/// Why a verb did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The server's own words.
    #[error(transparent)]
    Refused(Refusal),
    #[error("{0}")]
    No(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Cannot(String),
}

type Outcome = Result<(), Failure>;

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::No(_) => EXIT_NO,
            Self::Usage(_) => EXIT_USAGE,
            Self::Cannot(_) => EXIT_CANNOT,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => Self::Refused(refusal),
            ClientError::Unreachable { .. } | ClientError::TooSlow { .. } => {
                Self::Cannot(error.to_string())
            }
            ClientError::Broken { .. }
            | ClientError::TooLarge { .. }
            | ClientError::NotOurs { .. }
            | ClientError::BadUrl(_)
            | ClientError::Status(_) => Self::No(error.to_string()),
        }
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|verb| verb == PROBE_CHILD) {
        return crate::probe::child_main(&arguments[2..]);
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    let json = cli.verb.json();
    match cli.verb.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, json);
            ExitCode::from(failure.code())
        }
    }
}

impl Verb {
    fn run(self) -> Outcome {
        match self {
            Self::Serve(args) => args.run(),
            Self::Demo(args) => args.run(),
            Self::Submit(args) => setup::block_on(args.run()),
            Self::Jobs(args) => setup::block_on(args.run()),
            Self::Cancel(args) => setup::block_on(args.run()),
            Self::Replace(args) => setup::block_on(args.run()),
            Self::Watch(args) => setup::block_on(args.run()),
            Self::Account(args) => setup::block_on(args.run()),
            Self::Key(args) => setup::block_on(args.run()),
            Self::Console(args) => setup::block_on(args.run()),
            Self::Doctor(args) => setup::block_on(args.run()),
            Self::Migrate(args) => setup::block_on(args.run()),
            Self::Backup(args) => args.run(),
            Self::Completions(args) => args.run(),
        }
    }

    /// Whether machine output was asked for.
    fn json(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Completions(_) => false,
            Self::Demo(args) => args.json,
            Self::Submit(args) => args.json,
            Self::Jobs(args) => args.json,
            Self::Cancel(args) => args.json,
            Self::Replace(args) => args.json,
            Self::Watch(args) => args.json,
            Self::Account(args) => args.json,
            Self::Key(args) => args.json,
            Self::Console(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Migrate(args) => args.json,
            Self::Backup(args) => args.json,
        }
    }
}

fn report(failure: &Failure, json: bool) {
    let screen = Screen::stderr();
    screen.say(format!("{} {}", screen.paint(Ink::Red, "error:"), human::printable(failure)));
    if let (true, Failure::Refused(refusal)) = (json, failure) {
        emit(&serde_json::json!({
            "Code": refusal.code,
            "Message": refusal.message,
            "RequestId": refusal.request_id,
            "Recommend": refusal.recommend,
        }));
    }
}

/// The command with all its verbs, for completions.
fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests;
