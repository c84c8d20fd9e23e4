//! `haulage replace ID URL`

use std::path::PathBuf;

use serde_json::Value;

use super::screen::{Ink, Screen, emit};
use super::setup::ServerArgs;
use super::submit::read_json;
use super::{Failure, Outcome, human, watch};
use crate::client::{Replaced, Replacement};

/// Give a job that awaits one another URL for the same file; it goes on where it stopped
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job
    #[arg(value_name = "ID")]
    job: String,
    /// The new URL (http or https)
    #[arg(value_name = "URL")]
    url: String,
    /// File with an object of Headers or BasicAuth for the new URL as JSON, as in UploadMetadatas;
    /// `-` reads standard input. Those given for the URL before are not used for this one
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Then follow the job until it ends; exit 1 if it fails
    #[arg(long)]
    watch: bool,
    /// Machine output on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Args {
    pub(super) async fn run(self) -> Outcome {
        let metadata = match &self.metadata {
            Some(path) => Some(object(read_json(path)?)?),
            None => None,
        };
        let client = self.server.client()?;
        let screen = Screen::stderr();
        let replacement = Replacement { job_id: self.job, url: self.url, metadata };
        let replaced = client.replace(&replacement).await?;
        screen.say(line(screen, &replaced));
        if self.json {
            emit(&replaced);
        }
        if !self.watch {
            return Ok(());
        }
        watch::until_final(&client, vec![replaced.job_id], screen, self.json).await
    }
}

/// Nothing else can be changed of a job, so nothing else is taken and silently dropped.
fn object(value: Value) -> Result<Value, Failure> {
    let known = |name: &String| ["Headers", "BasicAuth"].contains(&name.as_str());
    match &value {
        Value::Object(fields) if fields.keys().all(known) => Ok(value),
        _ => Err(Failure::Usage(
            "metadata: an object of Headers or BasicAuth is accepted".to_owned(),
        )),
    }
}

/// What became of it, in a line.
fn line(screen: Screen, replaced: &Replaced) -> String {
    let said = match replaced.outcome.as_str() {
        "Replaced" => screen.paint(Ink::Green, "goes on with the new URL"),
        "Repeated" => screen.paint(Ink::Yellow, "was given this URL before; nothing has changed"),
        other => human::printable(other),
    };
    format!("{}  {said}", human::printable(&replaced.job_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_words_and_the_url_is_not_among_them() {
        let said = |outcome: &str| {
            let replaced = Replaced {
                job_id: "j1".to_owned(),
                upload_url: "http://h/a.mp4?Signature=s".to_owned(),
                outcome: outcome.to_owned(),
            };
            line(Screen::plain(), &replaced)
        };
        assert_eq!(said("Replaced"), "j1  goes on with the new URL");
        assert_eq!(said("Repeated"), "j1  was given this URL before; nothing has changed");
    }

    #[test]
    fn metadata_of_a_replacement_is_headers_or_credentials() {
        for (text, taken) in [
            (r#"{"Headers":{"X-A":"1"}}"#, true),
            (r#"{"BasicAuth":{"User":"u","Password":"p"}}"#, true),
            (r#"{"Title":"t"}"#, false),
            ("[]", false),
        ] {
            let value = serde_json::from_str(text).unwrap();
            assert_eq!(object(value).is_ok(), taken, "{text}");
        }
    }
}
