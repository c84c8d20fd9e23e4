// SHA-1, SHA-256 and HMAC. WebCrypto where the browser offers it; it does so only on https and on
// loopback, so the same functions are here a second time for pages on other addresses.

const encoder = new TextEncoder();

/** Bytes of a text, or the bytes themselves. */
function bytesOf(data) {
  return typeof data === 'string' ? encoder.encode(data) : data;
}

function rotateLeft(word, count) {
  return (word << count) | (word >>> (32 - count));
}

function rotateRight(word, count) {
  return (word >>> count) | (word << (32 - count));
}

/** The message with its padding (FIPS 180-4, 5.1.1): a multiple of 64 bytes. */
function padded(data) {
  const message = new Uint8Array(Math.ceil((data.length + 9) / 64) * 64);
  message.set(data);
  message[data.length] = 0x80;
  const view = new DataView(message.buffer);
  view.setUint32(message.length - 8, Math.floor(data.length / 0x20000000));
  view.setUint32(message.length - 4, (data.length << 3) >>> 0);
  return view;
}

function toBytes(words) {
  const out = new Uint8Array(words.length * 4);
  const view = new DataView(out.buffer);
  words.forEach((word, at) => view.setUint32(at * 4, word));
  return out;
}

/** SHA-1 (FIPS 180-4, 6.1.2). */
export function sha1(data) {
  const view = padded(bytesOf(data));
  const state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0]);
  const w = new Int32Array(80);
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let t = 0; t < 16; t += 1) w[t] = view.getInt32(block + t * 4);
    for (let t = 16; t < 80; t += 1) w[t] = rotateLeft(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    let [a, b, c, d, e] = state;
    for (let t = 0; t < 80; t += 1) {
      let f;
      let k;
      if (t < 20) [f, k] = [(b & c) | (~b & d), 0x5a827999];
      else if (t < 40) [f, k] = [b ^ c ^ d, 0x6ed9eba1];
      else if (t < 60) [f, k] = [(b & c) | (b & d) | (c & d), 0x8f1bbcdc];
      else [f, k] = [b ^ c ^ d, 0xca62c1d6];
      const next = (rotateLeft(a, 5) + f + e + k + w[t]) | 0;
      [a, b, c, d, e] = [next, a, rotateLeft(b, 30), c, d];
    }
    [a, b, c, d, e].forEach((word, at) => { state[at] = (state[at] + word) | 0; });
  }
  return toBytes(Array.from(state, (word) => word >>> 0));
}

/** The first 32 bits of the fractional part of a root of the first primes (FIPS 180-4, 4.2.2). */
function fractions(count, root) {
  const found = [];
  for (let n = 2; found.length < count; n += 1) {
    let isPrime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) isPrime = false;
    if (isPrime) {
      // Exact: the integer root of n * 2^(32 * root), whose low 32 bits are the fraction.
      const scaled = BigInt(n) << BigInt(32 * root);
      let low = 0n;
      let high = 1n << 40n;
      while (high - low > 1n) {
        const middle = (low + high) >> 1n;
        if (middle ** BigInt(root) <= scaled) low = middle;
        else high = middle;
      }
      found.push(Number(low & 0xffffffffn));
    }
  }
  return found;
}

const K = Int32Array.from(fractions(64, 3));
const START = fractions(8, 2);

/** SHA-256 (FIPS 180-4, 6.2.2). */
export function sha256(data) {
  const view = padded(bytesOf(data));
  const state = Int32Array.from(START);
  const w = new Int32Array(64);
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let t = 0; t < 16; t += 1) w[t] = view.getInt32(block + t * 4);
    for (let t = 16; t < 64; t += 1) {
      const s0 = rotateRight(w[t - 15], 7) ^ rotateRight(w[t - 15], 18) ^ (w[t - 15] >>> 3);
      const s1 = rotateRight(w[t - 2], 17) ^ rotateRight(w[t - 2], 19) ^ (w[t - 2] >>> 10);
      w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t += 1) {
      const big1 = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25);
      const one = (h + big1 + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
      const big0 = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22);
      const two = (big0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [a, b, c, d, e, f, g, h] = [(one + two) | 0, a, b, c, (d + one) | 0, e, f, g];
    }
    [a, b, c, d, e, f, g, h].forEach((word, at) => { state[at] = (state[at] + word) | 0; });
  }
  return toBytes(Array.from(state, (word) => word >>> 0));
}

/** HMAC (RFC 2104) over one of the two hashes; both have blocks of 64 bytes. */
export function hmac(hash, key, data) {
  let block = bytesOf(key);
  if (block.length > 64) block = hash(block);
  const inner = new Uint8Array(64).fill(0x36);
  const outer = new Uint8Array(64).fill(0x5c);
  block.forEach((byte, at) => { inner[at] ^= byte; outer[at] ^= byte; });
  const message = bytesOf(data);
  const first = new Uint8Array(64 + message.length);
  first.set(inner);
  first.set(message, 64);
  const digest = hash(first);
  const second = new Uint8Array(64 + digest.length);
  second.set(outer);
  second.set(digest, 64);
  return hash(second);
}

/** WebCrypto, where there is one. */
export function subtleOf(scope = globalThis) {
  return scope.crypto?.subtle ?? null;
}

/** SHA-256 of a text or bytes. */
export async function digest256(data, subtle = subtleOf()) {
  if (!subtle) return sha256(data);
  return new Uint8Array(await subtle.digest('SHA-256', bytesOf(data)));
}

async function mac(name, own, key, data, subtle) {
  const raw = bytesOf(key);
  // WebCrypto takes no empty key; HMAC itself does.
  if (!subtle || raw.length === 0) return hmac(own, raw, data);
  const imported = await subtle.importKey('raw', raw, { name: 'HMAC', hash: name }, false, ['sign']);
  return new Uint8Array(await subtle.sign('HMAC', imported, bytesOf(data)));
}

/** HMAC-SHA1 of a text. */
export function hmac1(key, data, subtle = subtleOf()) {
  return mac('SHA-1', sha1, key, data, subtle);
}

/** HMAC-SHA256 of a text. */
export function hmac256(key, data, subtle = subtleOf()) {
  return mac('SHA-256', sha256, key, data, subtle);
}

/** Lower-case hexadecimal. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Standard Base64 with padding. */
export function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}
