//! Where a body ends (RFC 9112 §6.3 and §7.1), decoded in place: a byte that belongs to no body
//! never leaves this file, and nothing is kept of a body between two reads but a few numbers.

/// Bytes of one line of the framing: a chunk's size with its extensions, or a trailer field.
const LINE_LIMIT: usize = 4 * 1024;
/// Bytes that the extensions of a body may have beyond the bytes of the body itself.
const EXTENSIONS_LIMIT: u64 = 16 * 1024;
/// Bytes and fields that the trailers may have.
const TRAILERS_LIMIT: usize = 16 * 1024;
const TRAILER_FIELDS: usize = 100;
/// Digits of a chunk's size; more do not fit into 64 bits or are zeros that nobody needs.
const SIZE_DIGITS: usize = 16;

/// How a body broke off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::fetch) enum BodyFault {
    /// The connection ended before the body did.
    Cut,
    /// The framing is not one.
    Broken,
    /// The framing is more than anybody needs.
    OverLimit,
}

/// How the end of a body is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// So many bytes are still to come; 0 is the end.
    Length(u64),
    Chunked(Chunks),
    /// The end of the connection is the end of the body.
    Close,
}

/// What [`Framing::decode`] made of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Decoded {
    /// Bytes of the body; they are at the front now.
    pub(super) body: usize,
    /// Bytes that were looked at. Only behind the end of a body some are not.
    pub(super) used: usize,
}

impl Framing {
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.at == At::End,
            Self::Close => false,
        }
    }

    /// Bytes after which it makes sense to hand on what came.
    pub(super) fn wanted(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(_) | Self::Close => u64::MAX,
        }
    }

    /// Takes the next bytes of the connection and leaves the body's among them at the front.
    ///
    /// # Errors
    /// [`BodyFault::Broken`] and [`BodyFault::OverLimit`]; nothing can be decoded after them.
    pub(super) fn decode(&mut self, raw: &mut [u8]) -> Result<Decoded, BodyFault> {
        match self {
            Self::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(raw.len());
                *left -= used as u64;
                Ok(Decoded { body: used, used })
            }
            Self::Chunked(chunks) => chunks.decode(raw),
            Self::Close => Ok(Decoded { body: raw.len(), used: raw.len() }),
        }
    }

    /// The connection has ended, in order.
    ///
    /// # Errors
    /// [`BodyFault::Cut`] when that is not where the body ends.
    pub(super) fn close(&mut self) -> Result<(), BodyFault> {
        match self {
            Self::Close => Ok(()),
            Self::Length(_) | Self::Chunked(_) if self.has_ended() => Ok(()),
            Self::Length(_) | Self::Chunked(_) => Err(BodyFault::Cut),
        }
    }
}

/// The decoder of chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk under way: its size while that is read, then the bytes still to come.
    left: u64,
    digits: usize,
    line: usize,
    /// Bytes of bodies and of extensions so far.
    body: u64,
    extensions: u64,
    trailers: usize,
    fields: usize,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Size,
    /// Blanks after a size (RFC 9112 §7.1.1, "bad" whitespace).
    AfterSize,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer field, or the last line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self {
            at: At::Size,
            left: 0,
            digits: 0,
            line: 0,
            body: 0,
            extensions: 0,
            trailers: 0,
            fields: 0,
        }
    }

    fn decode(&mut self, raw: &mut [u8]) -> Result<Decoded, BodyFault> {
        let (mut read, mut body) = (0, 0);
        while read < raw.len() && self.at != At::End {
            if self.at == At::Data {
                let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(raw.len() - read);
                if read != body {
                    raw.copy_within(read..read + size, body);
                }
                (read, body) = (read + size, body + size);
                self.left -= size as u64;
                self.body = self.body.saturating_add(size as u64);
                if self.left == 0 {
                    self.at = At::DataCr;
                }
            } else {
                self.at = self.step(raw[read])?;
                read += 1;
            }
        }
        Ok(Decoded { body, used: read })
    }

    /// One byte of the framing.
    fn step(&mut self, byte: u8) -> Result<At, BodyFault> {
        use BodyFault::Broken;
        Ok(match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() => self.digit(byte)?,
            (At::Size | At::AfterSize, b'\r') if self.digits > 0 => At::SizeLf,
            (At::Size | At::AfterSize, b';') if self.digits > 0 => self.extension()?,
            (At::Size | At::AfterSize, b' ' | b'\t') if self.digits > 0 => {
                self.extension()?;
                At::AfterSize
            }
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, b'\n' | 0) => return Err(Broken),
            (At::Extension, _) => self.extension()?,
            (At::SizeLf, b'\n') if self.left > 0 => At::Data,
            (At::SizeLf, b'\n') => At::Trailer,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => {
                (self.digits, self.line) = (0, 0);
                At::Size
            }
            (At::Trailer, b'\r') => At::EndLf,
            (At::Trailer | At::TrailerName, _) if is_token(byte) => {
                self.trailer(At::TrailerName)?
            }
            (At::TrailerName, b':') => self.trailer(At::TrailerValue)?,
            (At::TrailerValue, b'\r') => At::TrailerLf,
            (At::TrailerValue, b'\n' | 0) => return Err(Broken),
            (At::TrailerValue, _) => self.trailer(At::TrailerValue)?,
            (At::TrailerLf, b'\n') => {
                self.fields += 1;
                if self.fields > TRAILER_FIELDS {
                    return Err(BodyFault::OverLimit);
                }
                At::Trailer
            }
            (At::EndLf, b'\n') => At::End,
            (
                At::Size
                | At::AfterSize
                | At::SizeLf
                | At::Data
                | At::DataCr
                | At::DataLf
                | At::Trailer
                | At::TrailerName
                | At::TrailerLf
                | At::EndLf
                | At::End,
                _,
            ) => return Err(Broken),
        })
    }

    fn digit(&mut self, byte: u8) -> Result<At, BodyFault> {
        let value = char::from(byte).to_digit(16).map_or(0, u64::from);
        if self.digits == 0 {
            self.left = 0;
        }
        self.digits += 1;
        if self.digits > SIZE_DIGITS {
            return Err(BodyFault::OverLimit);
        }
        // Sixteen digits fit.
        self.left = self.left << 4 | value;
        Ok(At::Size)
    }

    /// A byte that stands between a size and the end of its line: counted and passed over.
    fn extension(&mut self) -> Result<At, BodyFault> {
        self.line += 1;
        self.extensions += 1;
        let most = self.body.saturating_add(EXTENSIONS_LIMIT);
        if self.line > LINE_LIMIT || self.extensions > most {
            return Err(BodyFault::OverLimit);
        }
        Ok(At::Extension)
    }

    /// A byte of a trailer field. Trailers say nothing that is believed (http_faults.md row 17).
    fn trailer(&mut self, next: At) -> Result<At, BodyFault> {
        self.trailers += 1;
        if self.trailers > TRAILERS_LIMIT { Err(BodyFault::OverLimit) } else { Ok(next) }
    }
}

/// A character of a field's name (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes `raw` in pieces that end at `cuts`; the body, and what was not looked at.
    fn decoded(
        mut framing: Framing,
        raw: &[u8],
        cuts: &[usize],
    ) -> Result<(Vec<u8>, usize), BodyFault> {
        let (mut body, mut used, mut from) = (Vec::new(), 0, 0);
        for to in cuts.iter().copied().chain([raw.len()]) {
            let mut piece = raw[from.min(to)..to].to_vec();
            if framing.has_ended() {
                break;
            }
            let decoded = framing.decode(&mut piece)?;
            body.extend_from_slice(&piece[..decoded.body]);
            used += decoded.used;
            from = from.max(to);
        }
        framing.close()?;
        Ok((body, raw.len() - used))
    }

    fn chunked(raw: impl AsRef<[u8]>) -> Result<(Vec<u8>, usize), BodyFault> {
        let raw = raw.as_ref();
        let at_once = decoded(Framing::Chunked(Chunks::new()), raw, &[]);
        let each: Vec<usize> = (1..raw.len()).collect();
        assert_eq!(decoded(Framing::Chunked(Chunks::new()), raw, &each), at_once, "byte by byte");
        at_once
    }

    #[test]
    fn chunks_are_joined_and_everything_between_them_is_left_out() {
        let hello = |rest| Ok((b"hello world".to_vec(), rest));
        for raw in [
            "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            "5;x\r\nhello\r\n6;x=y;z=\"a b\"\r\n world\r\n0;last\r\n\r\n",
            "5 \t;x\r\nhello\r\n6 \r\n world\r\n00\r\n\r\n",
            "00000005\r\nhello\r\n006\r\n world\r\n0\r\nX-A: b\r\nContent-Length: 3\r\n\r\n",
            "B\r\nhello world\r\n0\r\nX-Empty:\r\n\r\n",
            "b\r\nhello world\r\n0000000000000000\r\n\r\n",
        ] {
            assert_eq!(chunked(raw), hello(0), "{raw:?}");
        }
        assert_eq!(chunked("b\r\nhello world\r\n0\r\n\r\nHTTP/1.1 200"), hello(12));
    }

    #[test]
    fn what_is_no_framing_is_told_from_framing_that_ends_early_or_is_too_much() {
        use BodyFault::{Broken, Cut, OverLimit};
        let end = "\r\n0\r\n\r\n";
        for (raw, fault) in [
            ("", Cut),
            ("5", Cut),
            ("5\r\nhell", Cut),
            ("5\r\nhello", Cut),
            ("5\r\nhello\r\n", Cut),
            ("5\r\nhello\r\n0\r\n", Cut),
            ("5\r\nhello\r\n0\r\n\r", Cut),
            ("5\r\nhello\r\n0\r\nX: y\r\n", Cut),
            ("\r\n", Broken),
            (";x\r\n", Broken),
            ("zz\r\n", Broken),
            ("-5\r\nhello", Broken),
            ("+5\r\nhello", Broken),
            (" 5\r\nhello", Broken),
            ("0x5\r\nhello", Broken),
            ("5 5\r\nhello", Broken),
            ("5\nhello\n0\n\n", Broken),
            ("5\rhello", Broken),
            ("5;x\nhello", Broken),
            ("5;\0\r\nhello", Broken),
            ("5\r\nhelloworld", Broken),
            ("5\r\nhello\n0\r\n\r\n", Broken),
            ("5\r\nhelloX\n0\r\n\r\n", Broken),
            ("5\r\nhello\r\r", Broken),
            ("5\r\nhello\r\n0\r\n\n", Broken),
            ("5\r\nhello\r\n0\r\n\rX", Broken),
            ("5\r\nhello\r\n0\r\n folded: x\r\n\r\n", Broken),
            ("5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", Broken),
            ("5\r\nhello\r\n0\r\nX y: z\r\n\r\n", Broken),
            ("5\r\nhello\r\n0\r\n: z\r\n\r\n", Broken),
            ("5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n", Broken),
            ("5\r\nhello\r\n0\r\nX: y\rZ: z\r\n\r\n", Broken),
            ("10000000000000001\r\nhello", OverLimit),
            ("00000000000000005\r\nhello", OverLimit),
        ] {
            assert_eq!(chunked(raw), Err(fault), "{raw:?}");
        }
        let extended = |n| format!("5;{}\r\nhello{end}", "x".repeat(n));
        assert!(chunked(extended(LINE_LIMIT - 1)).is_ok());
        assert_eq!(chunked(extended(LINE_LIMIT)), Err(OverLimit));
        assert_eq!(chunked(format!("5{}\r\nhello{end}", " ".repeat(5_000))), Err(OverLimit));
        let flood = "1;x\r\na\r\n".repeat(20_000);
        assert!(chunked(format!("{flood}0\r\n\r\n")).is_err(), "more extension than body");
        let fields = |n| format!("5\r\nhello\r\n0\r\n{}\r\n", "X-A: b\r\n".repeat(n));
        assert!(chunked(fields(TRAILER_FIELDS)).is_ok());
        assert_eq!(chunked(fields(TRAILER_FIELDS + 1)), Err(OverLimit));
        let long = format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "y".repeat(TRAILERS_LIMIT));
        assert_eq!(chunked(long), Err(OverLimit));
    }

    #[test]
    fn a_length_ends_a_body_at_its_last_byte_and_a_close_only_where_nothing_else_does() {
        let of = |framing, raw: &str| decoded(framing, raw.as_bytes(), &[2]);
        assert_eq!(of(Framing::Length(5), "hello"), Ok((b"hello".to_vec(), 0)));
        assert_eq!(of(Framing::Length(5), "helloHTTP/1.1"), Ok((b"hello".to_vec(), 8)));
        assert_eq!(of(Framing::Length(6), "hello"), Err(BodyFault::Cut));
        assert_eq!(of(Framing::Length(0), "hello"), Ok((Vec::new(), 5)));
        assert_eq!(of(Framing::Close, "hello"), Ok((b"hello".to_vec(), 0)));
        assert_eq!(of(Framing::Length(u64::MAX), "hello"), Err(BodyFault::Cut));
    }

    proptest! {
        /// Valid and damaged chunked bodies: how the bytes are split into reads changes nothing.
        #[test]
        fn any_split_into_reads_gives_the_same_body_or_the_same_fault(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            extension in "(;[a-z]{1,5}(=[a-z]{1,5})?)?",
            trailer in "(X-[A-Z]{1,4}: [a-z]{0,6}\r\n){0,3}",
            damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut raw = Vec::new();
            for piece in &pieces {
                raw.extend_from_slice(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
                raw.extend_from_slice(piece);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            let is_whole = damage.is_none();
            if let Some((at, byte)) = damage {
                let at = at.index(raw.len());
                raw[at] = byte;
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(raw.len())).collect();
            cuts.sort_unstable();
            let at_once = decoded(Framing::Chunked(Chunks::new()), &raw, &[]);
            prop_assert_eq!(decoded(Framing::Chunked(Chunks::new()), &raw, &cuts), at_once.clone());
            if is_whole {
                prop_assert_eq!(at_once, Ok((pieces.concat(), 0)));
            }
        }
    }
}
