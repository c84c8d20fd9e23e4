//! `haulage doctor`: looks at everything a node needs before it serves, and says what to fix. It
//! changes nothing but for a small file that it writes and removes.

use serde_json::{Value, json};

use super::screen::{Ink, Screen, emit};
use super::setup::NodeArgs;
use super::{Failure, Outcome, human};
use crate::config::load::{InForce, Origin, load};

mod checks;

/// Check configuration, disk, database, storage, probe and egress; exit 1 if something would fail
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also show every setting in force and where it comes from
    #[arg(long)]
    verbose: bool,
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// How one check came out.
#[derive(Clone, Debug)]
struct Check {
    name: &'static str,
    level: Level,
    /// What was found, in a sentence.
    found: String,
    /// What to do about it; empty when all is well.
    fix: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn ink(self) -> Ink {
        match self {
            Self::Ok => Ink::Green,
            Self::Warn => Ink::Yellow,
            Self::Fail => Ink::Red,
        }
    }
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), fix: String::new() }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), fix: fix.into() }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), fix: fix.into() }
    }

    fn line(&self, screen: Screen) -> String {
        let level = screen.paint(self.level.ink(), format!("{:<4}", self.level.word()));
        let head = format!("{level}  {:<14}  {}", self.name, human::printable(&self.found));
        if self.fix.is_empty() { head } else { format!("{head}\n{:22}→ {}", "", self.fix) }
    }
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        let screen = Screen::stderr();
        let (checks, in_force) = self.examine().await;
        for check in &checks {
            screen.say(check.line(screen));
        }
        if self.verbose {
            screen.say("");
            for one in &in_force {
                let origin = screen.paint(Ink::Dim, format!("({})", one.origin));
                screen.say(format!(
                    "{} = {} {origin}",
                    one.setting.name,
                    human::printable(&one.shown)
                ));
            }
        }
        let failed = checks.iter().filter(|check| check.level == Level::Fail).count();
        if self.json {
            emit(&machine(&checks, &in_force));
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::No(format!("{} failed", human::count(failed, "check")))),
        }
    }

    async fn examine(&self) -> (Vec<Check>, Vec<InForce>) {
        let loaded = match load(&self.node.sources()) {
            Ok(loaded) => loaded,
            Err(errors) => {
                let fix = "see docs/configuration.md or `haulage help serve`";
                let wrong =
                    errors.0.iter().map(|e| Check::fail("configuration", e.to_string(), fix));
                return (wrong.collect(), Vec::new());
            }
        };
        let mut checks = checks::configuration(&loaded);
        let config = &loaded.config;
        checks.extend(checks::data_dir(config));
        checks.push(checks::database(config));
        checks.extend(checks::storage(config).await);
        checks.push(checks::probe(config).await);
        let egress = loaded.in_force.iter().find(|one| one.setting.name == "egress_allow");
        checks.push(checks::egress(egress.map_or("", |one| one.shown.as_str())));
        checks.push(checks::clock(crate::door::Clock::System.now()));
        checks.push(checks::open_files(config));
        checks.push(checks::listen(config));
        (checks, loaded.in_force)
    }
}

fn machine(checks: &[Check], in_force: &[InForce]) -> Value {
    let check = |check: &Check| {
        json!({
            "Name": check.name,
            "Level": check.level.word(),
            "Found": check.found,
            "Fix": check.fix,
        })
    };
    let setting = |one: &InForce| {
        let origin = match &one.origin {
            Origin::File { path, .. } => path.display().to_string(),
            other @ (Origin::Flag | Origin::Environment | Origin::Default) => other.to_string(),
        };
        json!({ "Key": one.setting.name, "Value": one.shown, "Origin": origin })
    };
    json!({
        "Ok": checks.iter().all(|check| check.level != Level::Fail),
        "Checks": checks.iter().map(check).collect::<Vec<_>>(),
        "Configuration": in_force.iter().map(setting).collect::<Vec<_>>(),
    })
}
