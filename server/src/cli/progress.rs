//! Jobs on their way: a bar for each on a terminal; elsewhere a line whenever a status changes.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;
use super::screen::{Ink, Screen};
use crate::client::JobInfo;

/// Most bars at once; the jobs beyond are counted in one line.
const BARS_LIMIT: usize = 20;
/// Characters of a job's name before its bar.
const NAME_WIDTH: usize = 26;

/// Shows jobs as they go.
pub(super) struct Progress {
    screen: Screen,
    bars: MultiProgress,
    by_id: HashMap<String, ProgressBar>,
    beyond: Option<ProgressBar>,
    statuses: HashMap<String, String>,
}

impl Progress {
    pub(super) fn new(screen: Screen) -> Self {
        let target = match screen.terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Self {
            screen,
            bars: MultiProgress::with_draw_target(target),
            by_id: HashMap::new(),
            beyond: None,
            statuses: HashMap::new(),
        }
    }

    /// Shows the jobs as they are now.
    pub(super) fn show(&mut self, jobs: &[JobInfo]) {
        if self.screen.terminal {
            self.draw(jobs);
        } else {
            for job in jobs {
                self.tell(job);
            }
        }
    }

    fn tell(&mut self, job: &JobInfo) {
        if self.statuses.get(&job.job_id) == Some(&job.status) {
            return;
        }
        self.statuses.insert(job.job_id.clone(), job.status.clone());
        let bytes = job.bytes().filter(|bytes| *bytes > 0).map(human::bytes).unwrap_or_default();
        let line = format!("{:<16}  {:<NAME_WIDTH$}  {bytes:>10}", job.status, name(job));
        self.screen.say(human::printable(line.trim_end()));
        if job.awaits_url() {
            self.screen.say(self.screen.paint(Ink::Dim, awaits(job)));
        }
    }

    fn draw(&mut self, jobs: &[JobInfo]) {
        for job in jobs {
            let shown = self.by_id.contains_key(&job.job_id);
            if !shown && self.by_id.len() >= BARS_LIMIT {
                continue;
            }
            let bar = self.by_id.entry(job.job_id.clone()).or_insert_with(|| {
                let bar = self.bars.add(ProgressBar::no_length());
                bar.set_style(style());
                bar
            });
            bar.set_prefix(name(job));
            let received = job.bytes().unwrap_or(0);
            let total = job.progress.as_ref().and_then(|progress| progress.bytes_total);
            // A job that has succeeded is full, whatever was announced.
            let length = if job.is_success() { Some(received) } else { total };
            match length.filter(|length| *length > 0) {
                Some(length) => bar.set_length(length),
                None => bar.set_length(received.max(1)),
            }
            bar.set_position(received);
            let ink = status_ink(job);
            let hint = if job.awaits_url() { awaits(job) } else { String::new() };
            let status = self.screen.paint(ink, human::printable(&job.status));
            bar.set_message(format!("{status}{hint}"));
            if job.is_final() && !bar.is_finished() {
                bar.abandon();
            }
        }
        let beyond = jobs.iter().filter(|job| !self.by_id.contains_key(&job.job_id));
        let (ended, all) =
            beyond.fold((0, 0), |(ended, all), job| (ended + usize::from(job.is_final()), all + 1));
        if all > 0 {
            let line = self.beyond.get_or_insert_with(|| {
                let line = self.bars.add(ProgressBar::no_length());
                line.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| style()));
                line
            });
            line.set_message(format!("and {all} more, {ended} of them ended"));
        }
    }

    /// Leaves the last state on the screen.
    pub(super) fn finish(self) {
        for bar in self.by_id.values().chain(&self.beyond) {
            if !bar.is_finished() {
                bar.abandon();
            }
        }
    }
}

/// What to do for a job that awaits a URL, in a line.
pub(super) fn awaits(job: &JobInfo) -> String {
    let why = job.error_message.as_deref().unwrap_or("The source refuses its URL.");
    let id = human::printable(&job.job_id);
    format!("  {} Give it another: haulage replace {id} URL", human::printable(why))
}

fn style() -> ProgressStyle {
    let template = format!("{{prefix:{NAME_WIDTH}}} {{bar:24}} {{binary_bytes:>11}}  {{msg}}");
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// What to call a job: its title, else the last part of its URL.
pub(super) fn name(job: &JobInfo) -> String {
    let title = job.progress.as_ref().map(|progress| progress.title.as_str());
    let file = || {
        let path = job.upload_url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let name = title.filter(|t| !t.is_empty()).map_or_else(file, str::to_owned);
    human::elided(&human::printable(name), NAME_WIDTH)
}

/// The colour of a job's status.
pub(super) fn status_ink(job: &JobInfo) -> Ink {
    if job.is_success() {
        Ink::Green
    } else if job.is_failure() {
        Ink::Red
    } else if job.is_canceled() || job.awaits_url() {
        Ink::Yellow
    } else if job.is_pending() {
        Ink::Dim
    } else {
        Ink::Blue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Progress as Received;

    #[test]
    fn a_job_is_called_by_its_title_or_its_file_and_never_by_its_query() {
        let mut job = JobInfo {
            upload_url: "https://h/dir/a.mp4?Signature=s".to_owned(),
            ..JobInfo::default()
        };
        assert_eq!(name(&job), "a.mp4");
        let title = "A title\x1b[2J".to_owned();
        job.progress = Some(Received { title, ..Received::default() });
        assert_eq!(name(&job), "A title\u{fffd}[2J");
    }

    #[test]
    fn the_styles_of_bars_are_valid() {
        assert!(ProgressStyle::with_template("{msg}").is_ok());
        let template = format!("{{prefix:{NAME_WIDTH}}} {{bar:24}} {{binary_bytes:>11}}  {{msg}}");
        assert!(ProgressStyle::with_template(&template).is_ok());
    }
}
