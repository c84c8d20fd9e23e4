//! `haulage submit URL...`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::screen::{Ink, Screen, emit};
use super::setup::ServerArgs;
use super::{Failure, Outcome, human, watch};
use crate::client::{UploadRequest, metadata_url};

/// Most URLs of one command.
const URLS_LIMIT: usize = 10_000;
/// Largest metadata file, in bytes.
const METADATA_LIMIT: u64 = 8 << 20;

/// Submit URLs to be pulled; says the ids of their jobs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Sources (http or https); each becomes a job. More than 20 are sent as several calls, each
    /// accepted whole or refused whole
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Title of the media; the file name of the URL when not given
    #[arg(long, conflicts_with = "metadata")]
    title: Option<String>,
    /// File with UploadMetadatas as JSON: an object, or a list of them, each with the SourceURL it
    /// is for; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Makes a repetition of the same command within 10 minutes harmless: it answers with the
    /// first one's jobs
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// Then follow the jobs until they end; exit 1 if one fails
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
        if self.urls.len() > URLS_LIMIT {
            return Err(Failure::Usage(format!("at most {URLS_LIMIT} URLs in one command")));
        }
        let metadata = match (&self.title, &self.metadata) {
            (Some(title), _) => titled(&self.urls, title),
            (None, Some(path)) => read_metadata(path, &self.urls)?,
            (None, None) => Vec::new(),
        };
        let client = self.server.client()?;
        let screen = Screen::stderr();
        let request = UploadRequest { urls: self.urls, metadata, session_id: self.session_id };
        let asked = request.urls.len();
        // Said at once: when a later call is refused, these are accepted all the same.
        let mut accepted = Vec::new();
        let answer = client
            .upload(&request, |jobs| {
                for job in jobs {
                    let source = screen.paint(Ink::Dim, human::url(&job.source_url));
                    screen.say(format!("{}  {source}", human::printable(&job.job_id)));
                }
                accepted.extend_from_slice(jobs);
            })
            .await;
        if self.json {
            emit(&json!({ "UploadJobs": accepted }));
        }
        if let (Err(_), true) = (&answer, !accepted.is_empty()) {
            let held = human::count(accepted.len(), "job");
            screen.say(format!("{held} of {asked} accepted before the server said no"));
        }
        answer?;
        if !self.watch {
            return Ok(());
        }
        let ids = accepted.into_iter().map(|job| job.job_id).collect();
        watch::until_final(&client, ids, screen, self.json).await
    }
}

/// The same title for each URL.
fn titled(urls: &[String], title: &str) -> Vec<Value> {
    urls.iter().map(|url| json!({ "SourceURL": url, "Title": title })).collect()
}

/// Metadata as JSON from a file, or from standard input for `-`.
pub(super) fn read_json(path: &Path) -> Result<Value, Failure> {
    use std::io::Read;
    let unusable = |why: String| unusable(path, &why);
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(METADATA_LIMIT + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(METADATA_LIMIT + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|e| unusable(e.to_string()))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > METADATA_LIMIT {
        return Err(unusable(format!("it is larger than {METADATA_LIMIT} bytes")));
    }
    serde_json::from_str(&text).map_err(|e| unusable(e.to_string()))
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::Usage(format!("metadata {}: {why}", path.display()))
}

fn read_metadata(path: &Path, urls: &[String]) -> Result<Vec<Value>, Failure> {
    let unusable = |why: String| unusable(path, &why);
    let value = read_json(path)?;
    let entries = match value {
        Value::Array(entries) => entries,
        one @ Value::Object(_) => vec![one],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(unusable("it is neither an object nor a list".to_owned()));
        }
    };
    for (at, entry) in entries.iter().enumerate() {
        // An entry that belongs to no URL would silently do nothing.
        if !metadata_url(entry).is_some_and(|of| urls.iter().any(|url| url == of)) {
            return Err(unusable(format!(
                "entry {}: its SourceURL is none of the URLs of the command",
                at + 1
            )));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_must_belong_to_a_url_of_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metadata.json");
        let urls = ["http://h/a.mp4".to_owned()];
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_metadata(&path, &urls).map_err(|failure| failure.to_string())
        };
        assert_eq!(read(r#"{"SourceURL":"http://h/a.mp4","Title":"A"}"#).unwrap().len(), 1);
        assert_eq!(read(r#"[{"SourceUrl":"http://h/a.mp4"}]"#).unwrap().len(), 1);
        for (text, why) in [
            (r#"[{"SourceURL":"http://h/b.mp4"}]"#, "entry 1"),
            (r#"[{"Title":"A"}]"#, "entry 1"),
            ("7", "neither"),
            ("{", "EOF"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why) && error.contains("metadata.json"), "{error}");
        }
    }
}
