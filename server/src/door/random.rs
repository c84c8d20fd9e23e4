//! Randomness from the operating system.

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
    let bits = u64::from_be_bytes(bytes()) >> 11;
    // 53 random bits fill the mantissa exactly.
    bits as f64 / (1u64 << 53) as f64
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
