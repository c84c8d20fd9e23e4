//! The probe's child process.
//!
//! The program runs itself as `haulage probe-child MODE BYTES SECONDS WHAT FILE PROGRAM`. The
//! child first takes limits upon itself, then it either becomes `ffprobe` (MODE `ffprobe`, WHAT the
//! demultiplexers, PROGRAM its path) and prints one JSON value, or it reads the files that are
//! named on its standard input, one after the other (MODE `serve`; see [`super::crew`]), and prints
//! one line of JSON for each. Limits are set here rather than between fork and exec, which would
//! need unsafe code.
//!
//! Limits: address space, processor time, no file may grow, few open files, no core dump, killed
//! with its parent, wall-clock time and size of the answer. Its environment is empty. It keeps the
//! user and the file system of the program: it is a fence against broken files, not a jail against
//! a taken-over parser.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncReadExt;

use super::container::Container;
use super::reading::Reading;
use super::{ProbeError, ProbeFailure, ProbeSettings, crew, ffprobe, readers};

/// Most bytes of an answer. ffprobe writes about 300 for each stream.
pub(super) const ANSWER_LIMIT: u64 = 256 * 1024;
/// Open files of a child: three standard ones, the libraries while they are loaded, the medium.
const OPEN_FILES: u64 = 64;
/// The child was called in a way it does not know.
const USAGE: u8 = 2;
/// ffprobe does not start; as shells say it. 127 comes from the dynamic loader as well.
const NO_TOOL: [i32; 2] = [126, 127];

/// What came of asking a child.
#[derive(Debug)]
pub(super) enum Answer {
    Reading(Reading),
    /// It says that it cannot read the file.
    Unreadable,
    /// It died, or had to be stopped at one of its limits.
    GaveUp,
    /// There is no such program, or it does not start.
    NoTool,
}

impl ProbeSettings {
    /// A child of this program in `mode`, not yet started: its limits, an empty environment, no
    /// standard input, an end with its owner.
    pub(super) fn child_command(&self, mode: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.self_exe);
        command
            .arg("probe-child")
            .arg(mode)
            .arg(self.address_space.to_string())
            .arg(self.cpu.as_secs().max(1).to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // What parsers say about a file may quote it.
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// Asks ffprobe.
pub(super) async fn ask_ffprobe(
    settings: &ProbeSettings,
    program: &Path,
    container: Option<Container>,
    file: &Path,
) -> Result<Answer, ProbeError> {
    let start = |error| ProbeError::Failed(ProbeFailure::Start(error));
    let file = std::path::absolute(file).map_err(start)?;
    let mut child = settings
        .child_command("ffprobe")
        .arg(ffprobe::demuxers(container))
        .arg(file)
        .arg(program)
        .spawn()
        .map_err(start)?;
    let output = child.stdout.take();
    let answered = async {
        let mut answer = Vec::new();
        if let Some(output) = output {
            // Dropping the pipe after the limit ends a child that would write on for ever.
            output.take(ANSWER_LIMIT + 1).read_to_end(&mut answer).await?;
        }
        Ok::<_, io::Error>((answer, child.wait().await?))
    };
    let (answer, status) = match tokio::time::timeout(settings.timeout, answered).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(_)) | Err(_) => {
            // Also waits for its end, so that no zombie stays.
            drop(child.kill().await);
            return Ok(Answer::GaveUp);
        }
    };
    Ok(match status.code() {
        Some(0) if answer.len() as u64 > ANSWER_LIMIT => Answer::GaveUp,
        Some(0) => ffprobe::parse(&answer).map_or(Answer::Unreadable, Answer::Reading),
        Some(code) if NO_TOOL.contains(&code) => Answer::NoTool,
        Some(_) => Answer::Unreadable,
        None => Answer::GaveUp,
    })
}

/// The child itself; see [`super::child_main`].
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let [mode, bytes, seconds, what, file, program] = args else {
        return ExitCode::from(USAGE);
    };
    let number = |text: &OsStr| text.to_str().and_then(|text| text.parse::<u64>().ok());
    let (Some(bytes), Some(seconds), Some(what)) = (number(bytes), number(seconds), what.to_str())
    else {
        return ExitCode::from(USAGE);
    };
    // Without limits nothing is read.
    if take_limits(bytes).is_err() || spend_at_most(seconds).is_err() {
        return ExitCode::from(USAGE);
    }
    match mode.to_str() {
        Some("ffprobe") => {
            // Returns only when it fails.
            let _error = Command::new(program)
                .args(ffprobe::arguments(what, Path::new(file)))
                .env_clear()
                .exec();
            ExitCode::from(126)
        }
        Some("serve") => match serve(seconds) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(USAGE),
        },
        _ => ExitCode::from(USAGE),
    }
}

/// Reads the files that are asked for until nobody asks any more.
fn serve(seconds_each: u64) -> io::Result<()> {
    let mut answers = io::stdout().lock();
    for question in io::stdin().lock().lines() {
        let Some((container, file)) = crew::understand(&question?) else {
            return Err(io::Error::other("not a question"));
        };
        spend_at_most(seconds_each)?;
        let reading = readers::read(&file, container);
        let mut answer = serde_json::to_vec(&reading)?;
        answer.push(b'\n');
        answers.write_all(&answer)?;
        answers.flush()?;
    }
    Ok(())
}

/// Ends this process when it has used this much more processor time, in seconds.
fn spend_at_most(seconds: u64) -> rustix::io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec;
    let until = u64::try_from(used).unwrap_or(0) + seconds;
    setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum: None })
}

/// Takes the limits upon this process, for good.
fn take_limits(address_space: u64) -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    for (resource, limit) in [
        (Resource::As, address_space),
        (Resource::Fsize, 0),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}
