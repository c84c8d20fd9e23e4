//! Seals secrets that must be kept recoverable, such as access key secrets, which HMAC needs in
//! the clear. The key lies in a file of its own beside the database, mode 0600, so that a copy of
//! the database alone signs nothing.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::random;

/// Name of the key file in the data directory.
pub const KEY_FILE: &str = "master.key";
const NONCE_BYTES: usize = 24;

/// What cannot be opened: sealed with another key, for another purpose, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("a sealed secret cannot be opened; is {KEY_FILE} the one of this database?")]
pub struct Unsealable;

#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    master: [u8; 32],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    pub fn new(key: [u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&Key::from(key)), master: key }
    }

    /// A key of its own for `purpose` (HMAC-SHA256 of the purpose under the master key): public
    /// ids and play URLs have theirs from here.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&self.master)
            .expect("HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Opens the key file of a data directory, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read or made, or is not 64 hex characters.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        Self::open_file(&data_dir.join(KEY_FILE))
    }

    /// Opens a key file, or makes it: several nodes of one installation have the same.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_file(path: &Path) -> io::Result<Self> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            Some(_) | None => Path::new("."),
        };
        loop {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let mut key = [0u8; 32];
                    hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
                        io::Error::new(
                            io::ErrorKind::InvalidData,
                            format!("{} does not hold 64 hex characters", path.display()),
                        )
                    })?;
                    return Ok(Self::new(key));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            // Written under another name first: a reader never sees half a key, and of two
            // programs that start at once only one makes it (the link fails for the other).
            let fresh = directory.join(format!("{KEY_FILE}.{}", random::alphanumeric(8)));
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)?;
            writeln!(file, "{}", hex::encode(random::bytes::<32>()))?;
            file.sync_all()?;
            let linked = std::fs::hard_link(&fresh, path);
            std::fs::remove_file(&fresh)?;
            match linked {
                Ok(()) => std::fs::File::open(directory)?.sync_all()?,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Seals `secret`; it opens only with the same `purpose`.
    pub fn seal(&self, purpose: &str, secret: &str) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let payload = Payload { msg: secret.as_bytes(), aad: purpose.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let mut out = nonce.to_vec();
        out.extend(sealed.expect("a secret is far below the cipher's size limit"));
        out
    }

    /// # Errors
    /// [`Unsealable`] when it was not sealed with this key for this purpose.
    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<String, Unsealable> {
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unsealable)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Unsealable)?;
        let payload = Payload { msg: body, aad: purpose.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| Unsealable)?;
        String::from_utf8(plain).map_err(|_| Unsealable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_with_its_key_and_purpose_alone() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let sealed = vault.seal("LTAI1", "the secret");
        assert!(!sealed.windows(10).any(|w| w == b"the secret"));
        let again = Vault::open(dir.path()).unwrap();
        assert_eq!(again.open_sealed("LTAI1", &sealed).unwrap(), "the secret");
        assert!(again.open_sealed("LTAI2", &sealed).is_err());
        assert!(Vault::new([1; 32]).open_sealed("LTAI1", &sealed).is_err());
        assert!(again.open_sealed("LTAI1", &sealed[..10]).is_err());
    }
}
