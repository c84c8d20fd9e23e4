//! Digests of a source's bytes: what callers declare, origins announce and the spool computes.
//! Equal values of one kind mean equal bytes, as far as the kind can tell.

use std::fmt;

/// A kind of digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algorithm {
    Sha256,
    /// CRC-64/XZ, the "crc64ecma" of OSS.
    Crc64,
    Md5,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-32 (ISO-HDLC, of zip and Ethernet).
    Crc32,
    /// CRC-64/NVME, the default of S3.
    Crc64Nvme,
}

impl Algorithm {
    pub const ALL: [Self; 6] =
        [Self::Sha256, Self::Crc64, Self::Md5, Self::Crc32c, Self::Crc32, Self::Crc64Nvme];

    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Crc64 => "CRC-64",
            Self::Md5 => "MD5",
            Self::Crc32c => "CRC-32C",
            Self::Crc32 => "CRC-32",
            Self::Crc64Nvme => "CRC-64/NVME",
        }
    }
}

/// A digest's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Digest {
    Sha256([u8; 32]),
    Crc64(u64),
    Md5([u8; 16]),
    Crc32c(u32),
    Crc32(u32),
    Crc64Nvme(u64),
}

impl Digest {
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Crc64(_) => Algorithm::Crc64,
            Self::Md5(_) => Algorithm::Md5,
            Self::Crc32c(_) => Algorithm::Crc32c,
            Self::Crc32(_) => Algorithm::Crc32,
            Self::Crc64Nvme(_) => Algorithm::Crc64Nvme,
        }
    }

    /// The digest of this kind with these bytes, a number's most significant one first; `None`
    /// when it has another length.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Sha256 => Self::Sha256(bytes.try_into().ok()?),
            Algorithm::Crc64 => Self::Crc64(u64::from_be_bytes(bytes.try_into().ok()?)),
            Algorithm::Md5 => Self::Md5(bytes.try_into().ok()?),
            Algorithm::Crc32c => Self::Crc32c(u32::from_be_bytes(bytes.try_into().ok()?)),
            Algorithm::Crc32 => Self::Crc32(u32::from_be_bytes(bytes.try_into().ok()?)),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(u64::from_be_bytes(bytes.try_into().ok()?)),
        })
    }
}

impl fmt::Display for Digest {
    /// The value as it is recorded and shown: hexadecimal, and CRC-64 in decimal as OSS has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(bytes) => f.write_str(&hex::encode(bytes)),
            Self::Md5(bytes) => f.write_str(&hex::encode(bytes)),
            Self::Crc64(number) => write!(f, "{number}"),
            Self::Crc32c(number) | Self::Crc32(number) => write!(f, "{number:08x}"),
            Self::Crc64Nvme(number) => write!(f, "{number:016x}"),
        }
    }
}

/// What a caller says the bytes are: all of it must be true of them.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Declared {
    /// Lower-case hexadecimal.
    #[serde(with = "hexadecimal", skip_serializing_if = "Option::is_none")]
    pub md5: Option<[u8; 16]>,
    /// Lower-case hexadecimal.
    #[serde(with = "hexadecimal", skip_serializing_if = "Option::is_none")]
    pub sha256: Option<[u8; 32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crc64: Option<u64>,
}

impl Declared {
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let md5 = self.md5.map(Digest::Md5);
        let sha256 = self.sha256.map(Digest::Sha256);
        let crc64 = self.crc64.map(Digest::Crc64);
        sha256.into_iter().chain(crc64).chain(md5)
    }
}

/// When MD5 is computed (ADR 0010).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Md5Rule {
    /// Where the caller declared one or the origin announced one.
    #[default]
    Asked,
    Always,
}

/// Bytes as hexadecimal text, as a store keeps them.
mod hexadecimal {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        bytes: &Option<[u8; N]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.map(hex::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<Option<[u8; N]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let mut bytes = [0; N];
        hex::decode_to_slice(text, &mut bytes).map_err(D::Error::custom)?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_from_as_many_bytes_as_its_kind_has() {
        for (algorithm, length) in [
            (Algorithm::Sha256, 32),
            (Algorithm::Crc64, 8),
            (Algorithm::Md5, 16),
            (Algorithm::Crc32c, 4),
            (Algorithm::Crc32, 4),
            (Algorithm::Crc64Nvme, 8),
        ] {
            let bytes: Vec<u8> = (1..=length).collect();
            let digest = Digest::from_bytes(algorithm, &bytes).unwrap();
            assert_eq!(digest.algorithm(), algorithm);
            assert_eq!(Digest::from_bytes(algorithm, &bytes[1..]), None);
            assert_eq!(Digest::from_bytes(algorithm, &[]), None);
        }
        let crc = Digest::from_bytes(Algorithm::Crc64, &[0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(crc.unwrap().to_string(), "256");
    }

    #[test]
    fn what_was_declared_is_kept_as_text_and_read_again() {
        let declared =
            Declared { md5: Some([0xab; 16]), sha256: Some([7; 32]), crc64: Some(u64::MAX) };
        let text = serde_json::to_string(&declared).unwrap();
        assert!(text.contains(&"ab".repeat(16)), "{text}");
        assert_eq!(serde_json::from_str::<Declared>(&text).unwrap(), declared);
        assert_eq!(serde_json::from_str::<Declared>("{}").unwrap(), Declared::default());
        assert!(serde_json::from_str::<Declared>(r#"{"md5":"abc"}"#).is_err());
    }
}
