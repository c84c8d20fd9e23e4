//! What the demo found, and whether it is what was promised.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::progress::status_ink;
use super::super::screen::{Ink, Screen};
use super::super::table::{Cell, Table};
use super::super::{Failure, Outcome, human};
use super::{LINKS, Stage};
use crate::client::{JobInfo, PlayInfo};

/// One job at its end.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) title: &'static str,
    pub(super) job: JobInfo,
    /// The stream of a success.
    pub(super) play: Option<PlayInfo>,
}

#[derive(Debug)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    /// Whether the origin was ever asked for the cancelled link.
    pub(super) canceled_asked: bool,
    /// Whether a play URL gave the origin's bytes; `None` when there was none to try.
    pub(super) compared: Option<bool>,
}

impl Report {
    pub(super) fn render(&self, screen: Screen) -> String {
        let mut table =
            Table::new(&["", "status", "duration", "resolution", "size", "bitrate", "codec"]);
        for Finding { title, job, play } in &self.findings {
            let play = play.clone().unwrap_or_default();
            let resolution = match (play.width, play.height) {
                (Some(width), Some(height)) => format!("{width}×{height}"),
                _ => String::new(),
            };
            let size = if job.is_success() { human::bytes(play.size) } else { String::new() };
            table.row(vec![
                Cell::new(*title).ink(Ink::Bold),
                Cell::new(human::printable(&job.status)).ink(status_ink(job)),
                Cell::new(play.duration.as_deref().map(human::seconds_text).unwrap_or_default())
                    .right(),
                Cell::new(resolution).right(),
                Cell::new(size).right(),
                Cell::new(play.bitrate.as_deref().map(human::bitrate_text).unwrap_or_default())
                    .right(),
                Cell::new(human::printable(play.codec_name.unwrap_or_default())),
            ]);
            if job.is_failure() {
                let code = job.error_code.as_deref().unwrap_or("no code");
                let message = job.error_message.as_deref().unwrap_or_default();
                table.note(Ink::Red, human::printable(format!("  {code}: {message}")));
            } else if !play.play_url.is_empty() {
                let url = human::printable(&play.play_url);
                table.note(Ink::Dim, format!("  {url}"));
            }
        }
        let compared = match self.compared {
            Some(true) => "a play URL was fetched, whole and from the middle: the origin's bytes",
            Some(false) => "a play URL was fetched: NOT the origin's bytes",
            None => "there was no play URL to fetch",
        };
        let asked = match self.canceled_asked {
            true => "the origin WAS asked for the cancelled job",
            false => "the origin was never asked for the cancelled job",
        };
        format!("\n{}\n\n  {compared}\n  {asked}", table.render(screen))
    }

    /// # Errors
    /// The first promise that was not kept.
    pub(super) fn verdict(&self) -> Outcome {
        let probed = |one: &Finding| {
            one.job.is_success()
                && one.play.as_ref().is_some_and(|play| play.size > 0 && play.duration.is_some())
        };
        let clear = |one: &Finding| {
            let code = one.job.error_code.as_deref().unwrap_or_default();
            one.job.is_failure() && code.starts_with("URLInvalidError.")
        };
        let count = |which: &dyn Fn(&Finding) -> bool| {
            self.findings.iter().filter(|one| which(one)).count()
        };
        let promises = [
            (
                count(&probed) == LINKS.len() - 2,
                "not every good link became a medium with duration and size",
            ),
            (count(&clear) == 1, "the broken link did not fail with a clear code"),
            (count(&|one| one.job.is_canceled()) == 1, "the pending job was not cancelled"),
            (self.compared == Some(true), "a play URL did not give the origin's bytes"),
            (!self.canceled_asked, "the origin was asked for a cancelled job"),
        ];
        match promises.into_iter().find(|(kept, _)| !kept) {
            None => Ok(()),
            Some((_, broken)) => Err(Failure::No(format!("the demo did not go well: {broken}"))),
        }
    }

    pub(super) fn json(&self, stage: &Stage, took: Duration, keep: bool) -> Value {
        let jobs = self.findings.iter().map(|one| {
            let mut job = json!(one.job);
            job["Title"] = json!(one.title);
            if let Some(play) = &one.play {
                job["PlayInfo"] = json!(play);
            }
            job
        });
        let mut summary = json!({
            "Ok": self.verdict().is_ok(),
            "Jobs": jobs.collect::<Vec<_>>(),
            "PlayedBytesMatch": self.compared,
            "Seconds": took.as_secs_f64(),
        });
        if keep {
            summary["Server"] = json!(stage.node.base_url());
            summary["AccessKeyId"] = json!(stage.key.access_key_id);
            summary["AccessKeySecret"] = json!(stage.key.access_key_secret);
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: &str, code: Option<&str>, play: bool) -> Finding {
        let job = JobInfo {
            status: status.to_owned(),
            error_code: code.map(str::to_owned),
            ..JobInfo::default()
        };
        let play = play.then(|| PlayInfo {
            size: 105_976,
            duration: Some("6.0".to_owned()),
            width: Some(320),
            height: Some(180),
            play_url: "http://h/media/x".to_owned(),
            ..PlayInfo::default()
        });
        Finding { title: "A", job, play }
    }

    fn promised() -> Report {
        Report {
            findings: vec![
                finding("SUCCESS", None, true),
                finding("SUCCESS", None, true),
                finding("DOWNLOAD_FAIL", Some("URLInvalidError.NotMedia"), false),
                finding("SUCCESS", None, true),
                finding("CANCELED", None, false),
            ],
            canceled_asked: false,
            compared: Some(true),
        }
    }

    #[test]
    fn the_demo_ends_well_only_if_every_promise_is_kept() {
        promised().verdict().unwrap();
        type Spoil = (&'static str, fn(&mut Report));
        let spoils: [Spoil; 6] = [
            ("duration", |r| r.findings[0].play = None),
            ("clear code", |r| r.findings[2].job.error_code = Some("InternalError".to_owned())),
            ("not cancelled", |r| r.findings[4] = finding("SUCCESS", None, false)),
            ("origin's bytes", |r| r.compared = Some(false)),
            ("origin's bytes", |r| r.compared = None),
            ("asked for a cancelled", |r| r.canceled_asked = true),
        ];
        for (why, spoil) in spoils {
            let mut report = promised();
            spoil(&mut report);
            let failure = report.verdict().unwrap_err().to_string();
            assert!(failure.contains(why), "{why}: {failure}");
        }
    }

    #[test]
    fn the_report_shows_facts_play_urls_and_reasons() {
        let text = promised().render(Screen::plain());
        for part in [
            "6.0 s",
            "320×180",
            "103.5 KiB",
            "http://h/media/x",
            "URLInvalidError.NotMedia",
            "never asked",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
