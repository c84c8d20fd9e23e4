//! `haulage cancel ID|URL...`

use super::jobs::selectors;
use super::screen::{Ink, Screen, emit};
use super::setup::ServerArgs;
use super::{Failure, human};
use crate::client::{Canceled, Outcome};

/// Most inputs of one command.
const INPUTS_LIMIT: usize = 10_000;

/// Cancel jobs that have not started; exit 1 if anything was not cancelled
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Job ids or source URLs; a URL means every pending job for it
    #[arg(required = true, value_name = "ID|URL")]
    which: Vec<String>,
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Args {
    pub(super) async fn run(self) -> super::Outcome {
        if self.which.len() > INPUTS_LIMIT {
            return Err(Failure::Usage(format!("at most {INPUTS_LIMIT} inputs in one command")));
        }
        let client = self.server.client()?;
        let screen = Screen::stderr();
        let mut all = Canceled::default();
        for selector in selectors(&self.which) {
            let some = client.cancel(&selector).await?;
            for outcome in &some.outcomes {
                screen.say(line(screen, outcome));
            }
            all.canceled_jobs.extend(some.canceled_jobs);
            all.non_exists.extend(some.non_exists);
            all.outcomes.extend(some.outcomes);
        }
        if self.json {
            emit(&all);
        }
        let missed = all.outcomes.iter().filter(|outcome| !outcome.is_canceled()).count();
        match missed {
            0 => Ok(()),
            _ => Err(Failure::No(format!(
                "{} of {} not cancelled",
                missed,
                human::count(all.outcomes.len(), "job")
            ))),
        }
    }
}

/// What became of one input, in a line.
fn line(screen: Screen, outcome: &Outcome) -> String {
    let input = human::url(&outcome.input);
    let job = match outcome.job_id.as_deref() {
        Some(id) if id != outcome.input => format!("  {}", human::printable(id)),
        Some(_) | None => String::new(),
    };
    let said = match outcome.outcome.as_str() {
        "Canceled" => screen.paint(Ink::Green, "cancelled"),
        "NotPending" => {
            let status = outcome.status.as_deref().unwrap_or("started");
            let status = human::printable(status);
            screen.paint(Ink::Yellow, format!("not cancelled: it is no longer pending ({status})"))
        }
        "NotExist" => screen.paint(Ink::Red, "not cancelled: no such job"),
        other => human::printable(other),
    };
    format!("{input}{job}  {said}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_words() {
        let outcome = |kind: &str, job: Option<&str>, status: Option<&str>| Outcome {
            input: "http://h/a.mp4?k=v".to_owned(),
            job_id: job.map(str::to_owned),
            outcome: kind.to_owned(),
            status: status.map(str::to_owned),
        };
        let said = |outcome: &Outcome| line(Screen::plain(), outcome);
        assert_eq!(
            said(&outcome("Canceled", Some("j1"), Some("CANCELED"))),
            "http://h/a.mp4?…  j1  cancelled"
        );
        let late = said(&outcome("NotPending", Some("j1"), Some("DOWNLOADING")));
        assert!(late.ends_with("no longer pending (DOWNLOADING)"), "{late}");
        assert!(said(&outcome("NotExist", None, None)).ends_with("no such job"));
    }
}
