//! Choices of a campaign that can be made again: from `HAULAGE_TEST_SEED`, or from a fresh seed that
//! the campaign prints.

use haulage::door::random;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
#[derive(Clone, Debug)]
pub struct Seeded {
    seed: u64,
    state: u64,
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// With the seed that was asked for.
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the product")]
    pub fn from_environment() -> Self {
        let asked = std::env::var("HAULAGE_TEST_SEED").ok().and_then(|v| v.parse().ok());
        // Short enough to be typed.
        Self::new(asked.unwrap_or_else(|| u64::from_be_bytes(random::bytes()) >> 32))
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A number below `bound`, which is more than 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Another source, whose choices do not depend on how many this one makes.
    pub fn branch(&mut self) -> Self {
        Self::new(self.next())
    }
}
