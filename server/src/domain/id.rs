//! Public identifiers: 32 lower-case hex characters that say nothing, made from dense,
//! time-ordered keys that keep the indexes local (decision 14 of the product).
//!
//! A job's [`Key`] is a 63-bit integer: milliseconds since 2020 above a counter. It is the row id
//! in the store. What a client sees is the key and a kind tag, encrypted as one AES-128 block with
//! a key of this installation. A forged or mistyped id fails the tag and costs no look-up, and two
//! ids tell nobody how many jobs lie between them.

use std::fmt;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use super::account::AccountId;
use super::time::Timestamp;

/// The key of a job and of the medium it makes: unique in the installation, increasing in time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub i64);

/// 2020-01-01T00:00:00Z in Unix milliseconds: where keys begin to count.
const EPOCH_MS: i64 = 1_577_836_800_000;
/// Low bits of a key: how many keys one millisecond has room for.
const COUNTER_BITS: u32 = 21;

impl Key {
    /// The smallest key of the millisecond `at`: the lower end of a range of keys by time.
    pub fn first_at(at: Timestamp) -> Self {
        Self(at.0.saturating_sub(EPOCH_MS).clamp(0, i64::MAX >> COUNTER_BITS) << COUNTER_BITS)
    }

    /// The next key after `self` at time `now`: later keys are greater even when the clock steps
    /// back.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self((self.0.saturating_add(1)).max(Self::first_at(now).0))
    }
}

/// What an identifier names; part of the encrypted block, so that one kind never passes as another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Job,
    Media,
    /// A place in the list of an account's jobs, or of everybody's.
    Page(Option<AccountId>),
}

impl Kind {
    fn tag(self) -> [u8; 8] {
        match self {
            Self::Job => *b"job\0\0\0\0\0",
            Self::Media => *b"media\0\0\0",
            Self::Page(None) => *b"page\0\0\0\0",
            Self::Page(Some(account)) => {
                let [_, _, rest @ ..] = account.0.to_be_bytes();
                let [a, b, c, d, e, f] = rest;
                [b'p', b'g', a, b, c, d, e, f]
            }
        }
    }
}

/// Turns keys into public identifiers and back.
#[derive(Clone)]
pub struct IdCodec(Aes128);

impl fmt::Debug for IdCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdCodec(..)")
    }
}

impl IdCodec {
    /// A codec with the installation's identifier key.
    pub fn new(key: [u8; 16]) -> Self {
        Self(Aes128::new(&Array::from(key)))
    }

    pub fn job_id(&self, key: Key) -> String {
        self.encode(Kind::Job, key)
    }

    pub fn media_id(&self, key: Key) -> String {
        self.encode(Kind::Media, key)
    }

    /// The key of a job id; `None` for any text that this installation never gave out as one.
    pub fn job_key(&self, id: &str) -> Option<Key> {
        self.decode(Kind::Job, id)
    }

    /// A token for the list of `account`'s jobs (`None`: everybody's) from `key` on. It is no job's
    /// id and good for nobody else, so that whoever has another's job id cannot put it in the place
    /// of a token and learn that it is one, or when it was given out.
    pub fn page_token(&self, account: Option<AccountId>, key: Key) -> String {
        self.encode(Kind::Page(account), key)
    }

    /// The key of a token for that account's list.
    pub fn page_key(&self, account: Option<AccountId>, token: &str) -> Option<Key> {
        self.decode(Kind::Page(account), token)
    }

    /// The key of a media id; `None` for any text that this installation never gave out as one.
    pub fn media_key(&self, id: &str) -> Option<Key> {
        self.decode(Kind::Media, id)
    }

    fn encode(&self, kind: Kind, key: Key) -> String {
        let mut block = [0u8; 16];
        block[..8].copy_from_slice(&key.0.to_be_bytes());
        block[8..].copy_from_slice(&kind.tag());
        let mut block = Array::from(block);
        self.0.encrypt_block(&mut block);
        hex::encode(block)
    }

    fn decode(&self, kind: Kind, id: &str) -> Option<Key> {
        // Only the lower-case form was given out; another spelling is another id.
        if id.len() != 32 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut block = [0u8; 16];
        hex::decode_to_slice(id, &mut block).ok()?;
        let mut block = Array::from(block);
        self.0.decrypt_block(&mut block);
        let (key, tag) = block.split_at(8);
        if tag != kind.tag() {
            return None;
        }
        let key = i64::from_be_bytes(key.try_into().ok()?);
        (key >= 0).then_some(Key(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_decodes_to_its_key_and_only_as_its_kind() {
        let codec = IdCodec::new([7; 16]);
        for key in [Key(0), Key(1), Key(i64::MAX), Key::first_at(Timestamp(EPOCH_MS + 12_345))] {
            let job = codec.job_id(key);
            let media = codec.media_id(key);
            assert_eq!(job.len(), 32);
            assert_ne!(job, media);
            assert_eq!(codec.job_key(&job), Some(key));
            assert_eq!(codec.media_key(&media), Some(key));
            assert_eq!(codec.media_key(&job), None);
            assert_eq!(codec.job_key(&job.to_uppercase().replace(char::is_numeric, "A")), None);
            assert_eq!(IdCodec::new([8; 16]).job_key(&job), None);
        }
        assert_eq!(codec.job_key("341c92e6c18dc435ee312536850000aa"), None);
        assert_eq!(codec.job_key(""), None);
    }

    #[test]
    fn a_page_token_is_good_for_its_own_list_alone() {
        let codec = IdCodec::new([7; 16]);
        let (key, mine, other) = (Key(9), Some(AccountId(1)), Some(AccountId(2)));
        let token = codec.page_token(mine, key);
        assert_eq!(codec.page_key(mine, &token), Some(key));
        assert_eq!(codec.page_key(other, &token), None);
        assert_eq!(codec.page_key(None, &token), None);
        assert_eq!(codec.page_key(mine, &codec.job_id(key)), None);
        assert_eq!(codec.job_key(&token), None);
    }

    #[test]
    fn keys_grow_even_when_the_clock_steps_back() {
        let first = Key(0).next(Timestamp(EPOCH_MS + 1_000));
        let second = first.next(Timestamp(EPOCH_MS));
        let third = second.next(Timestamp(EPOCH_MS + 2_000));
        assert!(first < second && second < third);
        assert_eq!(third, Key::first_at(Timestamp(EPOCH_MS + 2_000)));
    }
}
