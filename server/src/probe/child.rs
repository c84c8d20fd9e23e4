//! The probe's child process.
//!
//! The program runs itself as `haulage probe-child MODE BYTES SECONDS WHAT FILE [PROGRAM]`. The
//! child first takes limits upon itself, then it either becomes `ffprobe` (MODE `ffprobe`, WHAT the
//! demultiplexers, PROGRAM its path) or reads FILE itself (MODE `read`, WHAT the container). Either
//! way it prints one JSON value and nothing else. Limits are set here rather than between fork and
//! exec, which would need unsafe code.
//!
//! Limits: address space, processor time, no file may grow, few open files, no core dump, killed
//! with its parent, wall-clock time and size of the answer. Its environment is empty. It keeps the
//! user and the file system of the program: it is a fence against broken files, not a jail against
//! a taken-over parser.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncReadExt;

use super::container::Container;
use super::reading::Reading;
use super::{Hint, ProbeError, ProbeFailure, ProbeSettings, ffprobe, readers};

/// Most bytes of an answer. ffprobe writes about 300 for each stream.
const ANSWER_LIMIT: u64 = 256 * 1024;
/// Open files of a child: three standard ones, the libraries while they are loaded, the medium.
const OPEN_FILES: u64 = 64;
/// The file cannot be read as what it seems.
const UNREADABLE: u8 = 1;
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

/// Asks ffprobe.
pub(super) async fn ask_ffprobe(
    settings: &ProbeSettings,
    program: &Path,
    container: Option<Container>,
    file: &Path,
) -> Result<Answer, ProbeError> {
    let what = ffprobe::demuxers(container);
    let arguments = ["ffprobe".as_ref(), what.as_ref(), file.as_os_str(), program.as_os_str()];
    ask(settings, arguments, ffprobe::parse).await
}

/// Asks the readers of this program.
pub(super) async fn ask_reader(
    settings: &ProbeSettings,
    container: Option<Container>,
    hint: &Hint<'_>,
    file: &Path,
) -> Result<Answer, ProbeError> {
    let Some(container) = readers::reader_for(container, hint) else {
        return Ok(Answer::Unreadable);
    };
    let what = container.format(true);
    let arguments = ["read".as_ref(), what.as_ref(), file.as_os_str(), "-".as_ref()];
    ask(settings, arguments, |json| serde_json::from_slice(json).ok()).await
}

async fn ask(
    settings: &ProbeSettings,
    [mode, what, file, program]: [&OsStr; 4],
    parse: impl FnOnce(&[u8]) -> Option<Reading>,
) -> Result<Answer, ProbeError> {
    let start = |error| ProbeError::Failed(ProbeFailure::Start(error));
    let file = std::path::absolute(file).map_err(start)?;
    let mut child = tokio::process::Command::new(&settings.self_exe)
        .arg("probe-child")
        .arg(mode)
        .arg(settings.address_space.to_string())
        .arg(settings.cpu.as_secs().max(1).to_string())
        .arg(what)
        .arg(file)
        .arg(program)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What parsers say about a file may quote it.
        .stderr(Stdio::null())
        .kill_on_drop(true)
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
        Some(0) => parse(&answer).map_or(Answer::Unreadable, Answer::Reading),
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
    if take_limits(bytes, seconds).is_err() {
        // Without limits nothing is read.
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
        Some("read") => {
            let container = Container::from_format(what);
            let reading = container.and_then(|container| readers::read(Path::new(file), container));
            match reading.map(|reading| serde_json::to_vec(&reading)) {
                Some(Ok(json)) if io::stdout().write_all(&json).is_ok() => ExitCode::SUCCESS,
                _ => ExitCode::from(UNREADABLE),
            }
        }
        _ => ExitCode::from(USAGE),
    }
}

/// Takes the limits upon this process, for good.
fn take_limits(address_space: u64, cpu_seconds: u64) -> rustix::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    for (resource, limit) in [
        (Resource::As, address_space),
        (Resource::Cpu, cpu_seconds),
        (Resource::Fsize, 0),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Core, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}
