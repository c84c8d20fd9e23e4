//! Loading the configuration: flag, environment, file, default, in this order of precedence.
//!
//! Everything that is wrong is found in one go, so that an operator corrects it in one go. Each
//! complaint names where the value came from and what is accepted there; a secret's value is
//! never repeated.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{SETTINGS, Secrecy, Setting, find};
use super::{Config, nearest};
use crate::blob::Place;
use crate::domain::media::DEFAULT_LOCATION;

/// Largest configuration file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// Shortest lease: a beat every third of it must have time to reach the disk.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// Variables that begin with `HAULAGE_` and are no settings: the file's name, and the server that
/// client verbs talk to.
pub const OTHER_VARIABLES: [&str; 2] = ["HAULAGE_CONFIG", "HAULAGE_SERVER"];
/// Variables for tests of the program itself; never complained about.
const TEST_PREFIX: &str = "HAULAGE_TEST_";

/// What the configuration is made from.
#[derive(Debug, Default)]
pub struct Sources {
    /// Values of flags by setting name.
    pub flags: BTreeMap<&'static str, String>,
    /// The whole environment, or what a test puts in its place.
    pub environment: Vec<(OsString, OsString)>,
    /// `--config`; `HAULAGE_CONFIG` when `None`.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// The process's environment, no flags.
    pub fn of_process() -> Self {
        Self { environment: std::env::vars_os().collect(), ..Self::default() }
    }

    /// A variable that is set, not empty and readable text.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(n, _)| n == name)?;
        value.to_str().filter(|value| !value.is_empty())
    }
}

/// Where a value in force came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    Flag,
    Environment,
    File { path: PathBuf, line: usize },
    Default,
}

impl Origin {
    /// The spelling of `setting` at this place.
    fn spelling(&self, setting: &Setting) -> String {
        match self {
            Self::Flag => format!("--{}", setting.flag()),
            Self::Environment => setting.variable(),
            Self::File { path, line } => {
                format!("{} in {}, line {line}", setting.name, path.display())
            }
            Self::Default => format!("the default of {}", setting.name),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting as it is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    pub setting: &'static Setting,
    /// As it may be shown; secrets are hidden.
    pub shown: String,
    pub origin: Origin,
}

/// A configuration, and how it came about.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub in_force: Vec<InForce>,
    /// One sentence each.
    pub warnings: Vec<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{0} is not text in UTF-8")]
    NotText(String),
    #[error("the configuration file {} cannot be read: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("the configuration file {} is not TOML: line {line}: {reason}", path.display())]
    NotToml { path: PathBuf, line: usize, reason: String },
    #[error("unknown key {key} in {}, line {line}{}", path.display(), did_you_mean(.near))]
    UnknownKey { path: PathBuf, line: usize, key: String, near: Option<String> },
    #[error("{spelling}: a {found} cannot be given here; accepted: {accepts}")]
    WrongType { spelling: String, found: &'static str, accepts: &'static str },
    #[error("{spelling}: {value} is not usable{reason}; accepted: {accepts}")]
    Unusable { spelling: String, value: String, reason: String, accepts: &'static str },
    #[error(
        "backoff ({backoff}) is longer than backoff_max ({backoff_max}); raise the latter or lower the former"
    )]
    Backoff { backoff: String, backoff_max: String },
    #[error("lease is shorter than 1s; accepted: a duration of at least 1s")]
    ShortLease,
    #[error("{set} is set but {missing} is not; set both or neither")]
    HalfAKey { set: &'static str, missing: &'static str },
    #[error(
        "the storage location {0} is a bucket and has no key; give it one in storage_keys: `{0}=id:secret`"
    )]
    NoBucketKey(String),
}

fn did_you_mean(near: &Option<String>) -> String {
    near.as_ref().map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// A value as it was found.
struct Found {
    text: String,
    origin: Origin,
}

/// Makes the configuration.
///
/// # Errors
/// All that is wrong with what the sources say, in the order flags, environment, file.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    // Later inserts win: the file first, flags last.
    let mut found: BTreeMap<&'static str, Found> = BTreeMap::new();
    let named = sources.variable("HAULAGE_CONFIG").map(PathBuf::from);
    if let Some(path) = sources.file.clone().or(named) {
        errors.extend(read_file(&path, &mut found));
    }
    read_environment(sources, &mut found, &mut errors, &mut warnings);
    for (name, text) in &sources.flags {
        let setting = find(name);
        if setting.is_some_and(|setting| setting.secrecy == Secrecy::Secret) {
            warnings.push(format!(
                "--{} was given as a flag, which other users of this machine can read; prefer the environment or the file",
                name.replace('_', "-")
            ));
        }
        found.insert(name, Found { text: text.clone(), origin: Origin::Flag });
    }

    let mut config = Config::default();
    let mut in_force = Vec::with_capacity(SETTINGS.len());
    for setting in SETTINGS {
        let (text, origin) = match found.remove(setting.name) {
            Some(found) => (found.text, found.origin),
            None => (setting.default.to_owned(), Origin::Default),
        };
        if let Err(reason) = setting.set(&mut config, &text) {
            errors.push(unusable(setting, &text, &origin, &reason));
        }
        in_force.push(InForce { setting, shown: setting.shown(&text), origin });
    }
    errors.extend(contradictions(&config));
    if errors.is_empty() {
        Ok(Loaded { config, in_force, warnings })
    } else {
        Err(ConfigErrors(errors))
    }
}

fn unusable(setting: &Setting, text: &str, origin: &Origin, reason: &str) -> ConfigError {
    let value = match setting.secrecy {
        Secrecy::Open => format!("`{text}`"),
        Secrecy::Url | Secrecy::Urls | Secrecy::Secret => "the value (not shown)".to_owned(),
    };
    let reason =
        if reason.is_empty() { String::new() } else { format!(" ({})", reason.trim_end()) };
    ConfigError::Unusable {
        spelling: origin.spelling(setting),
        value,
        reason,
        accepts: setting.accepts,
    }
}

/// What no single value shows.
fn contradictions(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    if config.backoff > config.backoff_max {
        errors.push(ConfigError::Backoff {
            backoff: super::values::duration_text(config.backoff),
            backoff_max: super::values::duration_text(config.backoff_max),
        });
    }
    if config.lease < SHORTEST_LEASE {
        errors.push(ConfigError::ShortLease);
    }
    for (name, place) in config.places() {
        if matches!(place, Place::Bucket(_)) && !config.storage_keys.contains_key(name) {
            errors.push(ConfigError::NoBucketKey(name.to_owned()));
        }
    }
    errors
}

fn read_environment(
    sources: &Sources,
    found: &mut BTreeMap<&'static str, Found>,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<String>,
) {
    for (name, value) in &sources.environment {
        // A name that is no text is nobody's setting.
        let Some(name) = name.to_str().filter(|name| name.starts_with("HAULAGE_")) else {
            continue;
        };
        let setting = SETTINGS.iter().find(|setting| setting.variable() == name);
        match (setting, value.to_str()) {
            // Empty is how scripts and container files spell "not set".
            (_, Some("")) => {}
            (Some(setting), Some(value)) => {
                let value = Found { text: value.to_owned(), origin: Origin::Environment };
                found.insert(setting.name, value);
            }
            (Some(_), None) => errors.push(ConfigError::NotText(name.to_owned())),
            (None, _) if OTHER_VARIABLES.contains(&name) || name.starts_with(TEST_PREFIX) => {}
            (None, _) => {
                let known = SETTINGS.iter().map(Setting::variable);
                let near = nearest(name, known.chain(OTHER_VARIABLES.map(str::to_owned)));
                warnings.push(format!(
                    "the environment variable {name} is no setting of this program{}",
                    did_you_mean(&near)
                ));
            }
        }
    }
}

fn read_file(path: &Path, found: &mut BTreeMap<&'static str, Found>) -> Vec<ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let text = match std::fs::metadata(path) {
        Ok(facts) if facts.is_dir() => Err("it is a directory".to_owned()),
        Ok(facts) if facts.len() > FILE_LIMIT => {
            Err(format!("it is larger than {FILE_LIMIT} bytes"))
        }
        Ok(_) => std::fs::read_to_string(path).map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    let text = match text {
        Ok(text) => text,
        Err(reason) => return vec![unreadable(reason)],
    };
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
    let table = match DeTable::parse(&text) {
        Ok(table) => table,
        Err(e) => {
            let line = line_at(e.span().map_or(0, |span| span.start));
            // The parser's message alone: its `Display` would quote the line, secrets included.
            let reason = e.message().to_owned();
            return vec![ConfigError::NotToml { path: path.to_owned(), line, reason }];
        }
    };
    let mut errors = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_at(key.span().start);
        let origin = Origin::File { path: path.to_owned(), line };
        let Some(setting) = find(key.get_ref()) else {
            errors.push(ConfigError::UnknownKey {
                path: path.to_owned(),
                line,
                key: key.get_ref().to_string(),
                near: nearest(key.get_ref(), SETTINGS.iter().map(|s| s.name)),
            });
            continue;
        };
        match text_of(value, setting) {
            Ok(text) => {
                found.insert(setting.name, Found { text, origin });
            }
            Err(kind) => errors.push(ConfigError::WrongType {
                spelling: origin.spelling(setting),
                found: kind,
                accepts: setting.accepts,
            }),
        }
    }
    errors
}

/// A value of the file in the spelling that flags and variables have; `Err` names a type that has
/// no such spelling.
fn text_of(value: &Spanned<DeValue<'_>>, setting: &Setting) -> Result<String, &'static str> {
    match value.get_ref() {
        DeValue::Array(items) => {
            let items = items.iter().map(|item| scalar(item.get_ref()));
            Ok(items.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        // `[qps]` with a line for each operation is the readable form of its list.
        DeValue::Table(rows) if TABLES.contains(&setting.name) => {
            let rows = rows.iter().map(|(name, rate)| {
                scalar(rate.get_ref()).map(|rate| format!("{}={rate}", name.get_ref()))
            });
            Ok(rows.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        other => scalar(other),
    }
}

/// Settings that are lists of `name=value`, and may be tables in the file.
const TABLES: [&str; 3] = ["qps", "storage_locations", "storage_keys"];

fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Integer(_) => Err("number that is not decimal"),
        DeValue::Boolean(_) => Err("boolean"),
        DeValue::Float(_) => Err("fraction"),
        DeValue::Datetime(_) => Err("date"),
        DeValue::Array(_) => Err("list within a list"),
        DeValue::Table(_) => Err("table"),
    }
}

impl Config {
    /// The places that the configuration names, by location.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        let default = self.storage_url.iter().map(|place| (DEFAULT_LOCATION, place));
        default.chain(self.storage_locations.iter().map(|(name, place)| (name.as_str(), place)))
    }

    /// The first account's key as the operator chose it.
    ///
    /// # Errors
    /// [`ConfigError::HalfAKey`] when only one half of it is set.
    pub fn chosen_key(&self) -> Result<Option<(&str, &str)>, ConfigError> {
        const ID: &str = "HAULAGE_ACCESS_KEY_ID";
        const SECRET: &str = "HAULAGE_ACCESS_KEY_SECRET";
        match (self.access_key_id.as_deref(), self.access_key_secret.as_deref()) {
            (Some(id), Some(secret)) => Ok(Some((id, secret))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(ConfigError::HalfAKey { set: ID, missing: SECRET }),
            (None, Some(_)) => Err(ConfigError::HalfAKey { set: SECRET, missing: ID }),
        }
    }
}

#[cfg(test)]
mod tests;
