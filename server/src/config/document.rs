//! `docs/configuration.md`, made from the table of settings. A test compares; with
//! `HAULAGE_TEST_WRITE_DOCS=1` it writes the file instead.

use super::settings::{SETTINGS, Setting};

const HEAD: &str = "# Configuration

This page is generated from the table of settings in the source; do not edit it.

Every setting has three spellings: a flag of `haulage serve` (`--data-dir`), an environment
variable (`HAULAGE_DATA_DIR`) and a key of the configuration file (`data_dir`). A flag beats the
environment, the environment beats the file, the file beats the default. An environment variable
that is set but empty counts as not set.

The file is TOML and is named by `--config FILE` or `HAULAGE_CONFIG`. An unknown key in it is an
error; an unknown variable that begins with `HAULAGE_` is a warning. Lists are TOML lists in the
file and separated by commas elsewhere. Durations are written `250ms`, `5s`, `2m`, `1h`, `30d`;
sizes `64KiB`, `20MiB`, `1GiB`, or plain bytes.

`haulage doctor --verbose` shows the configuration in force and where each value comes from;
secrets are hidden.

Client verbs (`submit`, `jobs`, `cancel`, `replace`, `watch`) talk to `HAULAGE_SERVER` (or `--server`); when
it is not set, to the address of `listen`. They sign with `HAULAGE_ACCESS_KEY_ID` and
`HAULAGE_ACCESS_KEY_SECRET`, or with the key in `<data dir>/credentials.toml`.
";

/// The page.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            out += &format!("\n## {group}\n\n");
            out += "| key | environment | flag | default | meaning |\n|---|---|---|---|---|\n";
        }
        out += &row(setting);
    }
    out
}

fn row(setting: &Setting) -> String {
    let default = match setting.default {
        "" => String::new(),
        text => format!("`{text}`"),
    };
    format!(
        "| `{}` | `{}` | `--{}` | {default} | {} Accepts {}. |\n",
        setting.name,
        setting.variable(),
        setting.flag(),
        setting.doc,
        setting.accepts
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_table_of_settings() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        if std::env::var_os("HAULAGE_TEST_WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let document = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            document == markdown(),
            "docs/configuration.md is not what the settings say; run this test with HAULAGE_TEST_WRITE_DOCS=1"
        );
    }
}
