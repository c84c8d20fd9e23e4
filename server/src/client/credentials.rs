//! The key that the client signs with, and the file of the data directory where `serve` leaves
//! the first one for client verbs on the same machine.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Deserialize;

use crate::run::first_key::CREDENTIALS_FILE;

/// An access key with its secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub access_key_id: String,
    pub access_key_secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, ..)", self.access_key_id)
    }
}

impl Credentials {
    /// Reads the file of a data directory; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, does not hold a key, or is open to other users.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join(CREDENTIALS_FILE);
        let facts = match std::fs::metadata(&path) {
            Ok(facts) => facts,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        if facts.mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "other users may read it; run chmod 600 on it, and make a new key if they did",
            ));
        }
        // The parser's own message would quote the line, and with it the secret.
        let damaged = |_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it does not hold access_key_id and access_key_secret as TOML",
            )
        };
        toml::from_str(&std::fs::read_to_string(&path)?).map(Some).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(text: &str, mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CREDENTIALS_FILE);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    const WHOLE: &str = "# ours\naccess_key_id = \"id\"\naccess_key_secret = \"the secret\"\n";

    #[test]
    fn the_key_is_read_when_it_is_its_owners_alone() {
        let key = Credentials::read(written(WHOLE, 0o600).path()).unwrap().unwrap();
        assert_eq!(
            (key.access_key_id.as_str(), key.access_key_secret.as_str()),
            ("id", "the secret")
        );
        assert!(!format!("{key:?}").contains("the secret"));
        let open = Credentials::read(written(WHOLE, 0o640).path()).unwrap_err();
        assert_eq!(open.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(Credentials::read(tempfile::tempdir().unwrap().path()).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_reported_without_its_content() {
        for text in ["access_key_secret = the secret", "access_key_secret = \"the secret\""] {
            let error = Credentials::read(written(text, 0o600).path()).unwrap_err().to_string();
            assert!(error.contains("as TOML") && !error.contains("the secret"), "{error}");
        }
    }
}
