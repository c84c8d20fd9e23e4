// Percent-encoding as both signatures use it: every byte but A-Z a-z 0-9 - _ . ~ as %XX.

const UNRESERVED = /^[A-Za-z0-9\-_.~]$/;
const encoder = new TextEncoder();

/** The canonical encoding of a text. Lone surrogates become U+FFFD, as they do in requests. */
export function encode(text) {
  let out = '';
  for (const byte of encoder.encode(text)) {
    const character = String.fromCharCode(byte);
    out += byte < 128 && UNRESERVED.test(character)
      ? character
      : '%' + byte.toString(16).toUpperCase().padStart(2, '0');
  }
  return out;
}

/** Decodes form text once (`+` is a space); null if it is broken or not UTF-8. */
export function decode(text) {
  const bytes = [];
  const source = encoder.encode(text);
  for (let at = 0; at < source.length; at += 1) {
    if (source[at] === 0x2b) {
      bytes.push(0x20);
    } else if (source[at] === 0x25) {
      const digits = String.fromCharCode(source[at + 1] || 0, source[at + 2] || 0);
      if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return null;
      bytes.push(parseInt(digits, 16));
      at += 2;
    } else {
      bytes.push(source[at]);
    }
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

/** Order of UTF-8 bytes, which is the order of code points and not of UTF-16 units. */
export function compareBytes(one, other) {
  const [a, b] = [encoder.encode(one), encoder.encode(other)];
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at += 1) {
    if (a[at] !== b[at]) return a[at] - b[at];
  }
  return a.length - b.length;
}

/** `name=value&…`, encoded, in the order given. */
export function form(pairs) {
  return pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}
