//! Digests carried on while bytes arrive: CRC-64 always, SHA-256 up to a size, others where
//! somebody wants to compare them (ADR 0010).

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::domain::digest::{Algorithm, Digest};

/// Digests of the bytes so far.
pub(super) struct Running {
    sha256: Option<Sha256>,
    /// Beyond so many bytes it is not worth its time.
    sha256_max: u64,
    bytes: u64,
    crc64: Crc,
    // Few transfers have these, and each is 100 to 300 bytes.
    md5: Option<Box<Md5>>,
    crc32c: Option<Box<Crc>>,
    crc32: Option<Box<Crc>>,
    crc64_nvme: Option<Box<Crc>>,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            sha256: Some(Sha256::new()),
            sha256_max: u64::MAX,
            bytes: 0,
            crc64: Crc::new(CrcAlgorithm::Crc64Xz),
            md5: None,
            crc32c: None,
            crc32: None,
            crc64_nvme: None,
        }
    }

    /// All digests, for a file whose beginning is read again before it is known which are asked for.
    pub(super) fn all() -> Self {
        let mut all = Self::new();
        Algorithm::ALL.into_iter().for_each(|algorithm| all.add(algorithm));
        all
    }

    /// SHA-256 of the bytes so far and of `more`, lower-case hex, while it is carried on.
    pub(super) fn sha256_with(&self, more: &[u8]) -> Option<String> {
        let sha256 = self.sha256.clone()?.chain_update(more);
        Some(hex::encode(sha256.finalize()))
    }

    /// CRC-64 of the bytes so far and of `more`.
    pub(super) fn crc64_with(&self, more: &[u8]) -> u64 {
        let mut crc64 = self.crc64;
        crc64.update(more);
        crc64.finalize()
    }

    /// Goes on with `asked`, CRC-64, and SHA-256 while there are at most `sha256_max` bytes; with
    /// no other. One that was not carried on from the first byte cannot begin any more.
    pub(super) fn carry(&mut self, asked: &[Algorithm], sha256_max: u64) {
        if self.bytes == 0 {
            asked.iter().for_each(|algorithm| self.add(*algorithm));
        }
        let wanted = |algorithm| asked.contains(&algorithm);
        self.sha256_max = if wanted(Algorithm::Sha256) { u64::MAX } else { sha256_max };
        self.md5 = self.md5.take().filter(|_| wanted(Algorithm::Md5));
        self.crc32c = self.crc32c.take().filter(|_| wanted(Algorithm::Crc32c));
        self.crc32 = self.crc32.take().filter(|_| wanted(Algorithm::Crc32));
        self.crc64_nvme = self.crc64_nvme.take().filter(|_| wanted(Algorithm::Crc64Nvme));
        self.let_sha256_go();
    }

    fn let_sha256_go(&mut self) {
        if self.bytes > self.sha256_max || self.sha256_max == 0 {
            self.sha256 = None;
        }
    }

    fn add(&mut self, algorithm: Algorithm) {
        let crc = |algorithm| Some(Box::new(Crc::new(algorithm)));
        match algorithm {
            Algorithm::Sha256 | Algorithm::Crc64 => {}
            Algorithm::Md5 => self.md5 = Some(Box::default()),
            Algorithm::Crc32c => self.crc32c = crc(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc32 => self.crc32 = crc(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc64Nvme => self.crc64_nvme = crc(CrcAlgorithm::Crc64Nvme),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.let_sha256_go();
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        self.crc64.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for crc in [&mut self.crc32c, &mut self.crc32, &mut self.crc64_nvme].into_iter().flatten() {
            crc.update(bytes);
        }
    }

    pub(super) fn finish(self) -> Computed {
        let crc32 =
            |crc: Box<Crc>| u32::try_from(crc.finalize()).expect("a 32-bit CRC has 32 bits");
        Computed {
            sha256: self.sha256.map(|sha256| sha256.finalize().into()),
            crc64: self.crc64.finalize(),
            md5: self.md5.map(|md5| md5.finalize().into()),
            crc32c: self.crc32c.map(crc32),
            crc32: self.crc32.map(crc32),
            crc64_nvme: self.crc64_nvme.map(|crc| crc.finalize()),
        }
    }
}

/// Digests of all bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Computed {
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) crc64: u64,
    pub(super) md5: Option<[u8; 16]>,
    crc32c: Option<u32>,
    crc32: Option<u32>,
    crc64_nvme: Option<u64>,
}

impl Computed {
    /// `None` where it was not asked for.
    pub(super) fn get(&self, algorithm: Algorithm) -> Option<Digest> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.map(Digest::Sha256),
            Algorithm::Crc64 => Some(Digest::Crc64(self.crc64)),
            Algorithm::Md5 => self.md5.map(Digest::Md5),
            Algorithm::Crc32c => self.crc32c.map(Digest::Crc32c),
            Algorithm::Crc32 => self.crc32.map(Digest::Crc32),
            Algorithm::Crc64Nvme => self.crc64_nvme.map(Digest::Crc64Nvme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_have_their_check_values_and_others_are_not_computed() {
        let mut running = Running::all();
        for piece in [&b"1234"[..], b"", b"56789"] {
            running.update(piece);
        }
        let computed = running.finish();
        // CRCs: the check values of the catalogue of parametrised CRC algorithms.
        for (algorithm, value) in [
            (Algorithm::Crc64, "11051210869376104954"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ] {
            assert_eq!(computed.get(algorithm).unwrap().to_string(), value, "{algorithm:?}");
        }
        let bare = Running::new().finish();
        for algorithm in [Algorithm::Md5, Algorithm::Crc32c, Algorithm::Crc32] {
            assert_eq!(bare.get(algorithm), None);
        }
    }

    #[test]
    fn sha256_is_given_up_beyond_its_size_unless_somebody_asked_for_it() {
        let sha256_of = |asked: &[Algorithm], max, pieces: &[&[u8]]| {
            let mut running = Running::new();
            running.carry(asked, max);
            pieces.iter().for_each(|piece| running.update(piece));
            running.finish().get(Algorithm::Sha256)
        };
        let pieces: [&[u8]; 2] = [b"1234", b"56789"];
        assert!(sha256_of(&[], 9, &pieces).is_some(), "exactly as large");
        assert!(sha256_of(&[], 8, &pieces).is_none());
        assert!(sha256_of(&[], 0, &pieces).is_none());
        assert!(sha256_of(&[], 0, &[]).is_none(), "0 is none at all");
        assert!(sha256_of(&[Algorithm::Sha256], 0, &pieces).is_some());
        // Given up once, it does not come back with half of the bytes.
        let mut running = Running::new();
        running.carry(&[], 4);
        running.update(b"12345");
        running.carry(&[Algorithm::Sha256, Algorithm::Md5], u64::MAX);
        running.update(b"6789");
        assert_eq!(running.sha256_with(b""), None);
        let computed = running.finish();
        assert_eq!((computed.get(Algorithm::Sha256), computed.get(Algorithm::Md5)), (None, None));
        assert_eq!(computed.crc64, 11_051_210_869_376_104_954);
    }

    #[test]
    fn a_transfer_that_goes_on_carries_only_what_is_asked_for() {
        let mut running = Running::all();
        running.update(b"1234");
        running.carry(&[Algorithm::Crc32c], u64::MAX);
        running.update(b"56789");
        let computed = running.finish();
        assert_eq!(computed.get(Algorithm::Md5), None);
        assert_eq!(computed.get(Algorithm::Crc32c).unwrap().to_string(), "e3069283");
        assert!(computed.get(Algorithm::Sha256).is_some());
    }
}
