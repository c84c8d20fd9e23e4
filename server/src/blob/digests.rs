//! Digests carried on while bytes arrive: SHA-256 and CRC-64 always, others where somebody wants
//! to compare them (ADR 0010).

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::domain::digest::{Algorithm, Digest};

/// Digests of the bytes so far.
pub(super) struct Running {
    sha256: Sha256,
    crc64: Crc,
    md5: Option<Md5>,
    crc32c: Option<Crc>,
    crc32: Option<Crc>,
    crc64_nvme: Option<Crc>,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            sha256: Sha256::new(),
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

    /// SHA-256 of the bytes so far and of `more`, lower-case hex.
    pub(super) fn sha256_with(&self, more: &[u8]) -> String {
        hex::encode(self.sha256.clone().chain_update(more).finalize())
    }

    /// Carries this one on too. Right only before the first byte.
    pub(super) fn add(&mut self, algorithm: Algorithm) {
        match algorithm {
            Algorithm::Sha256 | Algorithm::Crc64 => {}
            Algorithm::Md5 => self.md5 = Some(Md5::new()),
            Algorithm::Crc32c => self.crc32c = Some(Crc::new(CrcAlgorithm::Crc32Iscsi)),
            Algorithm::Crc32 => self.crc32 = Some(Crc::new(CrcAlgorithm::Crc32IsoHdlc)),
            Algorithm::Crc64Nvme => self.crc64_nvme = Some(Crc::new(CrcAlgorithm::Crc64Nvme)),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc64.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for crc in [&mut self.crc32c, &mut self.crc32, &mut self.crc64_nvme].into_iter().flatten() {
            crc.update(bytes);
        }
    }

    pub(super) fn finish(self) -> Computed {
        let crc32 = |crc: Crc| u32::try_from(crc.finalize()).expect("a 32-bit CRC has 32 bits");
        Computed {
            sha256: self.sha256.finalize().into(),
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
    pub(super) sha256: [u8; 32],
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
            Algorithm::Sha256 => Some(Digest::Sha256(self.sha256)),
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
        let mut running = Running::new();
        running.add(Algorithm::Crc32c);
        running.add(Algorithm::Md5);
        running.add(Algorithm::Crc32);
        running.add(Algorithm::Crc64Nvme);
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
}
