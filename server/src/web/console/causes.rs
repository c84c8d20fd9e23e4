//! Why a job failed and what to do about it, for the codes of `docs/job-errors.md`.

/// A code of a failed job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cause {
    pub(crate) code: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) fix: &'static str,
}

const fn row(code: &'static str, cause: &'static str, fix: &'static str) -> Cause {
    Cause { code, cause, fix }
}

pub(crate) const CAUSES: &[Cause] = &[
    row(
        "URLInvalidError",
        "The URL is no usable http or https URL, or names no supported kind of file.",
        "Check the URL. If its name has no extension, give FileExtension with the upload.",
    ),
    row(
        "URLInvalidError.ForbiddenAddress",
        "The host, an address it resolves to, or the target of a redirect is not a public \
         address. Nothing was connected.",
        "If the source is meant to be in your own network, the operator allows it with \
         egress_allow.",
    ),
    row(
        "URLInvalidError.Unresolvable",
        "The name of the host does not resolve.",
        "Check the spelling, and whether the server's resolver knows the name.",
    ),
    row(
        "URLInvalidError.Unreachable",
        "No connection could be made to the host.",
        "Check that the host is up and its port is open to this server.",
    ),
    row(
        "URLInvalidError.Tls",
        "The host's certificate or its TLS handshake is not good.",
        "Look at the certificate: its name, its end, its chain.",
    ),
    row(
        "URLInvalidError.HttpStatus",
        "The source answered with a status that is no success.",
        "Open the URL. Links that were signed for a time expire: make a new one and submit it. While \
         a job needs a URL, give it the new one instead.",
    ),
    row(
        "URLInvalidError.Redirect",
        "The redirects go in a circle, are too many, or lead nowhere.",
        "Submit the address that they are meant to end at.",
    ),
    row(
        "URLInvalidError.Protocol",
        "The source does not keep to HTTP.",
        "Look at the source with another program; it may be a proxy on the way.",
    ),
    row(
        "URLInvalidError.Truncated",
        "Fewer or other bytes came than were announced, in every attempt.",
        "Submit it again later; if it lasts, the file at the source is broken.",
    ),
    row(
        "URLInvalidError.Changed",
        "The file at the source was exchanged while it was read.",
        "Submit it again when the source is finished.",
    ),
    row(
        "URLInvalidError.Stalled",
        "The source was too slow, or the job's deadline passed.",
        "Submit it again when the source is faster, or raise job_deadline.",
    ),
    row(
        "URLInvalidError.TooLarge",
        "The file is larger than max_bytes.",
        "Submit a smaller file, or raise max_bytes.",
    ),
    row("URLInvalidError.Empty", "The file has no bytes.", "Check what lies at the source."),
    row(
        "URLInvalidError.NotMedia",
        "The bytes are no audio or video. Often it is a page that asks to sign in.",
        "Open the URL in a browser without being signed in anywhere.",
    ),
    row(
        "URLInvalidError.ChecksumMismatch",
        "Size or digest differs from what was declared with the upload.",
        "Declare what the file really has, or find out who changed it.",
    ),
    row(
        "StorageError",
        "The storage refused the file after several tries.",
        "Look at the storage: its space, its rights, its log; then submit it again.",
    ),
    row(
        "InternalError",
        "A fault of the server itself.",
        "Look up the job's id in the server's log and report it; then submit it again.",
    ),
];

/// The cause of a code, or of the family it belongs to.
pub(super) fn cause_of(code: &str) -> Option<&'static Cause> {
    let exact = CAUSES.iter().find(|cause| cause.code == code);
    exact.or_else(|| {
        let family = code.split('.').next().unwrap_or_default();
        CAUSES.iter().find(|cause| cause.code == family)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_document_has_a_cause_here_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/job-errors.md");
        let document = std::fs::read_to_string(path).unwrap();
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        let here: Vec<&str> = CAUSES.iter().map(|cause| cause.code).collect();
        assert_eq!(here, documented);
    }

    #[test]
    fn an_unknown_member_of_a_family_is_explained_by_the_family() {
        assert_eq!(cause_of("URLInvalidError.New").unwrap().code, "URLInvalidError");
        assert_eq!(cause_of("Other"), None);
    }
}
