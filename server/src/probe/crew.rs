//! Reader children that live on from file to file.
//!
//! Starting a process costs more than measuring a small file, so the children that run this
//! program's own readers are kept. Each file still has its own budget of processor time and
//! wall-clock time, the limits of [`super::child`] hold, and a child that exceeds one, dies, or
//! has read [`FILES_EACH`] files is replaced. The readers are safe Rust: what one file leaves
//! behind in a child is freed memory.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::Instant;

use super::child::{ANSWER_LIMIT, Answer};
use super::container::Container;
use super::reading::Reading;
use super::{ProbeError, ProbeFailure, ProbeSettings};

/// Files that one child reads before it is replaced: memory that a file made it take goes with it.
const FILES_EACH: u32 = 500;
/// A child that nothing asked for this long is let go.
const IDLE: Duration = Duration::from_secs(30);

/// The children that wait for a file. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Crew(Arc<Mutex<Vec<Member>>>);

/// Why a child gave no answer.
enum Lost {
    /// It did not come to an end in time.
    Silent,
    /// It died, or said nonsense.
    Dead,
}

/// One child.
#[derive(Debug)]
struct Member {
    /// Killed when dropped.
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    files: u32,
    idle_since: Instant,
}

impl Crew {
    /// Lets go of children that have waited in vain; to be called now and then.
    pub fn retire_idle(&self) {
        self.lock().retain(|member| member.idle_since.elapsed() < IDLE);
    }

    /// Has a child read `file` as `container`.
    pub(super) async fn ask(
        &self,
        settings: &ProbeSettings,
        container: Container,
        file: &Path,
    ) -> Result<Answer, ProbeError> {
        let start = |error| ProbeError::Failed(ProbeFailure::Start(error));
        let file = std::path::absolute(file).map_err(start)?;
        let waiting = self.lock().pop();
        if let Some(member) = waiting {
            match self.ask_one(member, settings, container, &file).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::Silent) => return Ok(Answer::GaveUp),
                // Of this file, or of something earlier: a fresh one knows.
                Err(Lost::Dead) => {}
            }
        }
        let member = Member::start(settings).map_err(start)?;
        let answer = self.ask_one(member, settings, container, &file).await;
        Ok(answer.unwrap_or(Answer::GaveUp))
    }

    /// Asks a child, and keeps it for the next file; one that gives no answer is ended.
    async fn ask_one(
        &self,
        mut member: Member,
        settings: &ProbeSettings,
        container: Container,
        file: &Path,
    ) -> Result<Answer, Lost> {
        let asked = tokio::time::timeout(settings.timeout, member.ask(container, file)).await;
        let answer = match asked {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => {
                // Also waits for its end, so that no zombie stays.
                drop(member.child.kill().await);
                return Err(if asked.is_err() { Lost::Silent } else { Lost::Dead });
            }
        };
        if member.files < FILES_EACH {
            member.idle_since = Instant::now();
            self.lock().push(member);
        }
        Ok(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn start(settings: &ProbeSettings) -> std::io::Result<Self> {
        let mut child =
            settings.child_command("serve").args(["-", "-", "-"]).stdin(Stdio::piped()).spawn()?;
        let (questions, answers) =
            child.stdin.take().zip(child.stdout.take()).ok_or_else(|| {
                std::io::Error::other("the child has no pipes, though it was given some")
            })?;
        let answers = BufReader::new(answers);
        Ok(Self { child, questions, answers, files: 0, idle_since: Instant::now() })
    }

    async fn ask(&mut self, container: Container, file: &Path) -> Option<Answer> {
        self.files += 1;
        self.questions.write_all(question(container, file).as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        // A child that writes on for ever is not listened to.
        let mut limited = (&mut self.answers).take(ANSWER_LIMIT);
        limited.read_until(b'\n', &mut answer).await.ok()?;
        let json = answer.strip_suffix(b"\n")?;
        let reading: Option<Reading> = serde_json::from_slice(json).ok()?;
        Some(reading.map_or(Answer::Unreadable, Answer::Reading))
    }
}

/// One line: the container's format, and the path's bytes in hexadecimal, since a path may hold
/// any byte.
fn question(container: Container, file: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    format!("{} {}\n", container.format(true), hex::encode(file.as_os_str().as_bytes()))
}

/// The other side of [`question`].
pub(super) fn understand(line: &str) -> Option<(Container, std::path::PathBuf)> {
    use std::os::unix::ffi::OsStringExt;
    let (format, path) = line.trim_end().split_once(' ')?;
    let path = std::ffi::OsString::from_vec(hex::decode(path).ok()?);
    Some((Container::from_format(format)?, path.into()))
}

#[cfg(test)]
impl Crew {
    /// How many children wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Kills those that wait, and leaves them waiting.
    pub(super) fn kill_waiting(&self) {
        for member in self.lock().iter_mut() {
            member.child.start_kill().unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_understood() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/spool/a b\n\xff-i.part"));
        let line = question(Container::Webm, path);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(understand(&line), Some((Container::Webm, path.to_owned())));
        for bad in ["", "mp4", "nope 2f", "mp4 2", "mp4 zz"] {
            assert_eq!(understand(bad), None, "{bad:?}");
        }
    }
}
