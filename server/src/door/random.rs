//! Randomness from the operating system, and chance that a simulation can repeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where chance comes from that keeps no secret, such as the spread of pauses.
#[derive(Clone, Debug, Default)]
pub enum Chance {
    #[default]
    System,
    /// A sequence that its start determines: for simulations.
    Seeded(Arc<AtomicU64>),
}

impl Chance {
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&self) -> f64 {
        match self {
            Self::System => fraction(),
            Self::Seeded(state) => fraction_of(next(state)),
        }
    }
}

/// The next number of a sequence (SplitMix64: Steele, Lea and Flood, 2014).
fn next(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing can be signed or named safely
/// then.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0u8; N];
    getrandom::fill(&mut out).expect("the operating system provides randomness");
    out
}

/// A number in `0.0..1.0`.
pub fn fraction() -> f64 {
    fraction_of(u64::from_be_bytes(bytes()))
}

/// 53 random bits fill the mantissa exactly.
fn fraction_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A request id: an upper-case UUID, as the cloud's are.
pub fn request_id() -> String {
    let mut b: [u8; 16] = bytes();
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let h = hex::encode_upper(b);
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

/// `length` characters of `[A-Za-z0-9]`: key ids and secrets (5.95 bits each).
pub fn alphanumeric(length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut out = String::with_capacity(length);
    while out.len() < length {
        let [byte] = bytes::<1>();
        // 248 = 4 * 62: larger bytes would make the first letters likelier.
        if byte < 248 {
            out.push(char::from(ALPHABET[usize::from(byte % 62)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_chance_repeats_itself_and_spreads() {
        let drawn = |seed| {
            let chance = Chance::seeded(seed);
            [0; 100].map(|_| chance.fraction())
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let low = drawn(1).iter().filter(|f| **f < 0.5).count();
        assert!((20..80).contains(&low), "{low} of 100 are below a half");
        assert!((0.0..1.0).contains(&Chance::System.fraction()));
    }
}
