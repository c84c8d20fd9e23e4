//! `haulage serve`.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::screen::{Ink, Screen, print_line};
use super::setup::{SettingFlags, load_saying};
use super::{Failure, Outcome};
use crate::config::load::{Loaded, Sources};
use crate::run::first_key::{CREDENTIALS_FILE, FirstKey};
use crate::run::serve::{Node, start};

/// Serve the API, run the jobs, deliver events: everything in one process
#[derive(Debug, clap::Args)]
#[command(
    after_help = "When ready, one line goes to standard output: haulage ready on http://HOST:PORT\nSIGTERM or Ctrl-C drains: running transfers may end, for as long as --drain says; a second one stops at once."
)]
pub(super) struct Args {
    /// Configuration file (TOML) [env: HAULAGE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What this process does. All of it, while the database is the embedded one
    #[arg(long, value_delimiter = ',', default_value = "api,worker,events")]
    roles: Vec<Role>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Role {
    Api,
    Worker,
    Events,
}

impl Args {
    /// Values of the flags, by setting name.
    #[cfg(test)]
    pub(super) fn settings(&self) -> &std::collections::BTreeMap<&'static str, String> {
        &self.settings.0
    }

    pub(super) fn run(self) -> Outcome {
        let all = [Role::Api, Role::Worker, Role::Events];
        if !all.iter().all(|role| self.roles.contains(role)) {
            // Half a node on a database of its own would accept jobs that nobody runs.
            return Err(Failure::Usage(
                "a subset of roles needs a database that several nodes share, which this version does not have; leave --roles out".to_owned(),
            ));
        }
        let flags = self.settings.0;
        let sources = Sources { flags, file: self.config, ..Sources::of_process() };
        let loaded = load_saying(&sources)?;
        let config = &loaded.config;
        config.chosen_key().map_err(|e| Failure::Usage(e.to_string()))?;
        crate::telemetry::log::init(&config.log, config.log_json).map_err(Failure::Usage)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::Cannot(format!("cannot start: {e}")))?;
        runtime.block_on(serve(loaded))
    }
}

async fn serve(loaded: Loaded) -> Outcome {
    let screen = Screen::stderr();
    let credentials = loaded.config.data_dir.join(CREDENTIALS_FILE);
    // Before anything starts, so that no signal finds half a node.
    let mut signals = Signals::new()?;
    let node = tokio::select! {
        node = Box::pin(start(loaded)) => node.map_err(|e| Failure::Cannot(e.to_string()))?,
        _ = signals.next() => return Ok(()),
    };
    if let Some(key) = node.first_key() {
        show_first_key(screen, key, &credentials);
    }
    let base = node.base_url();
    screen.say(format!("Console       {base}/console\nAPI explorer  {base}/explorer"));
    print_line(&format!("haulage ready on {base}"));
    until_stopped(node, &mut signals, screen).await;
    Ok(())
}

fn show_first_key(screen: Screen, key: &FirstKey, path: &std::path::Path) {
    screen.say(format!(
        "The first access key, shown this once; it is also in {} (mode 0600):\n  AccessKeyId      {}\n  AccessKeySecret  {}",
        path.display(),
        screen.paint(Ink::Bold, &key.access_key_id),
        screen.paint(Ink::Bold, &key.access_key_secret),
    ));
}

/// Waits for the node's end: the first signal drains it, the second aborts it.
pub(super) async fn until_stopped(node: Node, signals: &mut Signals, screen: Screen) {
    let stop = node.stop();
    let ended = node.wait();
    tokio::pin!(ended);
    tokio::select! {
        () = &mut ended => return,
        name = signals.next() => {
            screen.say(format!("{name}: finishing what is under way; once more stops at once"));
        }
    }
    stop.drain();
    tokio::select! {
        () = &mut ended => {}
        _ = signals.next() => {
            stop.abort();
            ended.await;
        }
    }
}

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind).map_err(|e| Failure::Cannot(format!("cannot listen for signals: {e}")))
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
