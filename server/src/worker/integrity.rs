//! Integrity as a contract: which digests a transfer carries on, and what they must agree with.
//!
//! Two parties may say what the bytes are. The **caller**, by `Md5`, `Sha256` and `Crc64`: bytes
//! that differ are another file, and stay so. And the **origin**, by digests in the head of its
//! answer: bytes that differ may have been spoilt on the way, so that one more try is made. All
//! digests that are there must agree.

use crate::domain::digest::{Algorithm, Declared, Digest, Md5Rule};
use crate::domain::fault::{FaultClass, JobFault, Retry};
use crate::fetch::FetchError;
use crate::fetch::digest::Announced;

/// The digests to carry on besides those that always are.
pub(super) fn asked(declared: &Declared, announced: &[Announced], md5: Md5Rule) -> Vec<Algorithm> {
    let mut asked: Vec<Algorithm> = declared
        .digests()
        .chain(announced.iter().map(|announced| announced.digest))
        .map(|digest| digest.algorithm())
        .collect();
    if md5 == Md5Rule::Always {
        asked.push(Algorithm::Md5);
    }
    asked.sort_unstable();
    asked.dedup();
    asked
}

/// Compares what arrived with what was said of it. `computed` looks a digest of the bytes up.
///
/// The origin is asked first: where its own digest differs, the bytes are not what it has, and a
/// second try may bring those that the caller means.
pub(super) fn verify(
    declared: &Declared,
    announced: &[Announced],
    computed: impl Fn(Algorithm) -> Option<Digest>,
) -> Result<(), FetchError> {
    for Announced { field, digest } in announced {
        if !agrees(*digest, &computed)? {
            let name = digest.algorithm().name();
            let message = format!(
                "The {name} of the bytes is not the one that the origin announced in {field}."
            );
            return Err(mismatch(message, Retry::Once));
        }
    }
    for digest in declared.digests() {
        if !agrees(digest, &computed)? {
            let message = format!(
                "The {} of the bytes is not the one that the call declared.",
                digest.algorithm().name()
            );
            return Err(mismatch(message, Retry::Never));
        }
    }
    Ok(())
}

/// # Errors
/// When the digest was not computed: then nothing is known, and nothing is stored.
fn agrees(
    said: Digest,
    computed: impl Fn(Algorithm) -> Option<Digest>,
) -> Result<bool, FetchError> {
    let Some(computed) = computed(said.algorithm()) else {
        tracing::error!(digest = said.algorithm().name(), "was to be compared but not computed");
        let message = "Haulage did not compute a digest that it was to compare.";
        let fault = JobFault::new(FaultClass::Internal, message);
        return Err(FetchError { fault, retry: Retry::Backoff });
    };
    Ok(computed == said)
}

fn mismatch(message: String, retry: Retry) -> FetchError {
    FetchError { fault: JobFault::new(FaultClass::ChecksumMismatch, message), retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: Digest = Digest::Crc64(7);
    const MD5: Digest = Digest::Md5([1; 16]);

    fn computed(algorithm: Algorithm) -> Option<Digest> {
        match algorithm {
            Algorithm::Crc64 => Some(RIGHT),
            Algorithm::Md5 => Some(MD5),
            Algorithm::Sha256 => Some(Digest::Sha256([2; 32])),
            Algorithm::Crc32c | Algorithm::Crc32 | Algorithm::Crc64Nvme => None,
        }
    }

    fn said(digest: Digest) -> Announced {
        Announced { field: "Digest", digest }
    }

    #[test]
    fn a_declared_digest_that_differs_is_final_and_an_announced_one_is_tried_once_more() {
        let right = Declared { crc64: Some(7), md5: Some([1; 16]), sha256: Some([2; 32]) };
        assert_eq!(verify(&right, &[said(RIGHT), said(MD5)], computed), Ok(()));
        for wrong in [
            Declared { crc64: Some(8), ..right.clone() },
            Declared { md5: Some([9; 16]), ..right.clone() },
            Declared { sha256: Some([9; 32]), ..right.clone() },
        ] {
            let error = verify(&wrong, &[said(RIGHT)], computed).unwrap_err();
            assert_eq!(error.fault.class, FaultClass::ChecksumMismatch);
            assert_eq!(error.retry, Retry::Never);
            // Both differ: the bytes are not even the origin's.
            let error = verify(&wrong, &[said(Digest::Md5([9; 16]))], computed).unwrap_err();
            assert_eq!(error.retry, Retry::Once);
        }
        let wrong = [said(RIGHT), said(Digest::Md5([9; 16]))];
        let error = verify(&right, &wrong, computed).unwrap_err();
        assert_eq!((error.fault.class, error.retry), (FaultClass::ChecksumMismatch, Retry::Once));
    }

    #[test]
    fn a_digest_that_was_not_computed_never_counts_as_right() {
        let announced = [said(Digest::Crc32c(0))];
        let error = verify(&Declared::default(), &announced, computed).unwrap_err();
        assert_eq!((error.fault.class, error.retry), (FaultClass::Internal, Retry::Backoff));
    }

    #[test]
    fn md5_is_computed_where_somebody_has_one_or_always() {
        let none = Declared::default();
        let declared = Declared { md5: Some([0; 16]), ..Declared::default() };
        let has = |declared: &Declared, announced: &[Announced], rule| {
            asked(declared, announced, rule).contains(&Algorithm::Md5)
        };
        assert!(!has(&none, &[said(RIGHT)], Md5Rule::Asked));
        assert!(has(&none, &[said(RIGHT)], Md5Rule::Always));
        assert!(has(&declared, &[], Md5Rule::Asked));
        assert!(has(&none, &[said(MD5)], Md5Rule::Asked));
        assert_eq!(asked(&none, &[said(MD5), said(MD5)], Md5Rule::Always), [Algorithm::Md5]);
    }
}
