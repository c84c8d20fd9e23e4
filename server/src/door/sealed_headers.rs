//! The headers that a caller confides for a source, sealed and opened: `ops` seals them before
//! they reach the store, the worker opens them, nobody else does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::vault::{Unsealable, Vault};
use crate::domain::account::AccountId;
use crate::domain::source_headers::SourceHeaders;
use crate::domain::source_url::SourceUrl;

/// Seals `headers` for a source of an account, as Base64.
pub fn seal(vault: &Vault, account: AccountId, url: &SourceUrl, headers: &SourceHeaders) -> String {
    STANDARD.encode(vault.seal(&purpose(account, url), &headers.to_text()))
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`Unsealable`] when it was made with another key, for another account or for another URL.
pub fn open(
    vault: &Vault,
    account: AccountId,
    url: &SourceUrl,
    sealed: &str,
) -> Result<SourceHeaders, Unsealable> {
    let bytes = STANDARD.decode(sealed).map_err(|_| Unsealable)?;
    let text = vault.open_sealed(&purpose(account, url), &bytes)?;
    SourceHeaders::from_text(&text).ok_or(Unsealable)
}

/// What a sealed text is bound to, so that in a job of another account, or for another URL, it
/// does not open. (The job itself has no key yet when its headers are sealed.)
fn purpose(account: AccountId, url: &SourceUrl) -> String {
    format!("source headers of account {} for {}", account.0, url.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_headers_open_for_their_account_and_url_alone() {
        let (vault, account) = (Vault::new([7; 32]), AccountId(1));
        let url = SourceUrl::new("http://h.example/a.mp4");
        let headers = SourceHeaders::new(vec![("X-Key".to_owned(), "CANARY".to_owned())]);
        let sealed = seal(&vault, account, &url, &headers);
        assert!(!sealed.contains("CANARY"));
        assert_ne!(sealed, seal(&vault, account, &url, &headers), "equal secrets look different");
        assert_eq!(open(&vault, account, &url, &sealed).unwrap(), headers);
        let elsewhere = SourceUrl::new("http://evil.example/a.mp4");
        assert!(open(&vault, AccountId(2), &url, &sealed).is_err());
        assert!(open(&vault, account, &elsewhere, &sealed).is_err());
        assert!(open(&Vault::new([8; 32]), account, &url, &sealed).is_err());
        assert!(open(&vault, account, &url, "no Base64").is_err());
    }
}
