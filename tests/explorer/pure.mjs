// The scripts of the explorer without a page and without a server: hashes, vectors, values,
// comparison, pretty printing.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as hash from '../../server/assets/hash.js';
import * as percent from '../../server/assets/percent.js';
import * as signing from '../../server/assets/sign.js';
import * as values from '../../server/assets/values.js';
import { compare } from '../../server/assets/compare.js';
import { member, pretty, prettyJson, prettyXml } from '../../server/assets/pretty.js';
import { codeOf, requestOf } from '../../server/assets/lookup.js';
import { matches } from '../../server/assets/search.js';
import { TEXTS, urls } from './awkward.mjs';
import { VECTORS, computed, expected, recorded } from './vectors.mjs';

const bytes = (text) => new TextEncoder().encode(text);

async function ownHashesEqualWebCryptos() {
  const { subtle } = globalThis.crypto;
  assert.ok(subtle, 'this Node has WebCrypto');
  const lengths = [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 1000, 100_000];
  const texts = [...lengths.map((n) => 'x'.repeat(n)), ...TEXTS];
  for (const text of texts) {
    for (const [name, own] of [['SHA-1', hash.sha1], ['SHA-256', hash.sha256]]) {
      const theirs = new Uint8Array(await subtle.digest(name, bytes(text)));
      assert.equal(hash.hex(own(text)), hash.hex(theirs), `${name} of ${text.slice(0, 40)}`);
    }
    for (const key of ['k', 'k'.repeat(64), 'k'.repeat(65), 'é&', text]) {
      for (const mac of [hash.hmac1, hash.hmac256]) {
        assert.equal(hash.hex(await mac(key, text, null)), hash.hex(await mac(key, text, subtle)));
      }
    }
  }
  // FIPS 180-4 and RFC 4231 and RFC 2202, so that both cannot be wrong together.
  assert.equal(hash.hex(hash.sha1('abc')), 'a9993e364706816aba3e25717850c26c9cd0d89d');
  assert.equal(hash.hex(hash.sha256('abc')),
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  assert.equal(hash.hex(await hash.hmac256('Jefe', 'what do ya want for nothing?', null)),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843');
  assert.equal(hash.hex(await hash.hmac1('Jefe', 'what do ya want for nothing?', null)),
    'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79');
}

/** In Node, with WebCrypto and with the page's own hashes; in a browser tests/browser does the same. */
async function publishedVectorsAndRecordedRequestsAreSigned() {
  const base = new URL('../../server/assets/', import.meta.url).href;
  const vectors = [...VECTORS, ...recorded()];
  for (const isOwn of [false, true]) {
    assert.deepEqual(await computed({ base, vectors, isOwn }), vectors.map(expected));
  }
}

function percentEncodingIsTheServers() {
  assert.equal(percent.encode('AZaz09-_.~'), 'AZaz09-_.~');
  assert.equal(percent.encode(" +*/,!'()é😀"), '%20%2B%2A%2F%2C%21%27%28%29%C3%A9%F0%9F%98%80');
  assert.equal(percent.encode('\ud800'), '%EF%BF%BD');
  for (const text of TEXTS) assert.equal(percent.decode(percent.encode(text)), text);
  for (const broken of ['%', '%2', '%zz', '%FF', '%C0%AF']) assert.equal(percent.decode(broken), null);
  // By bytes: U+FFFD is before U+10000, which UTF-16 sees the other way round.
  assert.ok(percent.compareBytes('\ufffd', '\u{10000}') < 0);
  const pairs = [['AB', ''], ['a', ''], ['A', '2'], ['A_', ''], ['A', '1'], ['A.', '']];
  assert.deepEqual(signing.sorted(pairs).map((pair) => pair.join('')), ['A1', 'A2', 'A.', 'AB', 'A_', 'a']);
  assert.ok(percent.compareBytes('A', 'AB') < 0 && percent.compareBytes('AB', 'A') > 0);
}

function rowsBecomeTheTextOfAList() {
  const typed = urls(1);
  const text = values.urlList(['', ...typed, '  ']);
  assert.ok(/^[A-Za-z0-9\-_.~%,]*$/.test(text), 'no character that could be taken apart');
  assert.deepEqual(values.rowsOf('urls', text), typed);
  assert.equal(values.urlList(['http%3A//h/a b,c.mp4']), 'http%3A//h/a%20b%2Cc.mp4');
  assert.equal(values.list([' a ', '', 'b']), 'a,b');
  assert.match(values.rowsProblem('list', ['a,b'], 10), /comma/);
  assert.match(values.rowsProblem('urls', ['ftp://h/a'], 10), /http/);
  assert.match(values.rowsProblem('urls', Array(11).fill('http://h/'), 10), /At most 10/);
  assert.equal(values.rowsProblem('urls', typed, 20), '');
}

function structuredEditorsWriteJson() {
  for (const text of TEXTS.filter((t) => t !== '')) {
    const [object] = JSON.parse(values.metadatas([[['SourceURL', urls(1)[0]], ['Title', text]]]));
    assert.equal(object.Title, text);
    assert.equal(object.SourceURL, values.urlList([urls(1)[0]]), 'equal to the item of UploadURLs');
  }
  assert.equal(values.metadatas([]), '');
  assert.equal(values.metadatas([[['Title', '']]]), '');
  assert.equal(values.userData({ CallbackURL: 'http://c/', Extend: '{"id": 12345678901234567890}' }),
    '{"MessageCallback":{"CallbackURL":"http://c/","CallbackType":"http"},"Extend":{"id": 12345678901234567890}}');
  assert.equal(values.userData({ Extend: 'a "text"' }), '{"Extend":"a \\"text\\""}');
  assert.equal(values.userData({}), '');
}

function answersKeepEveryDigitAndHideNothing() {
  const text = '{"Size":12345678901234567890,"f":1.10,"e":1E400,"s":"a\\"{[,:]}\\u00e9","a":[],"o":{},"n":[1,{"x":null}]}';
  const made = prettyJson(text);
  for (const part of ['12345678901234567890', '1.10', '1E400', '"a\\"{[,:]}\\u00e9"', '"a": []', '"o": {}']) {
    assert.ok(made.includes(part), `${part} in ${made}`);
  }
  assert.equal(made.replaceAll(/\n */g, '').replaceAll('": ', '":'), text);
  assert.equal(prettyJson('not { json'), 'not { json');
  assert.equal(prettyJson('{"t":"\u202eevil"}'), '{\n  "t": "\\u202eevil"\n}');
  assert.equal(prettyXml('<R><Id>1</Id><L><J>a &lt; b</J><J/></L><E></E></R>'),
    '<R>\n  <Id>1</Id>\n  <L>\n    <J>a &lt; b</J>\n    <J/>\n  </L>\n  <E></E>\n</R>');
  assert.equal(pretty('text/xml;charset=utf-8', '<a>1</a>'), '<a>1</a>');
  assert.equal(member('<Error><Code>X</Code><Message>a &amp; &#x3c;</Message></Error>', 'Message'), 'a & <');
  assert.equal(member('{"Code":"X"}', 'Code'), 'X');
}

async function aComparisonNamesTheMistake() {
  const base = {
    method: 'POST', format: 'JSON', action: 'CancelUrlUploadJobs', version: '2017-03-21',
    params: [['UploadUrls', 'http%3A%2F%2Fh/a b*~.mp4'], ['JobIds', 'a']], host: 'h:1', keyId: 'k',
    secret: 's', token: '', time: '2026-01-02T03:04:05Z', nonce: 'n',
  };
  const v1 = await signing.sign({ ...base, scheme: 'V1' });
  const said = (theirs, request = v1) => compare(request, theirs).hints.join(' | ');
  const equal = compare(v1, `Specified signature is not matched with our calculation. server string to sign is:${v1.stringToSign}`);
  assert.equal(equal.equal, true);
  assert.match(equal.hints[0], /secret followed by an ampersand/);
  const other = v1.stringToSign;
  assert.match(said(other.replace('POST', 'GET')), /method is POST; yours is GET/);
  assert.match(said(other.replaceAll('%252520', '%252B').replaceAll('%2520', '%2B')), /space is %20/);
  assert.match(said(other.replaceAll('%252A', '%2A')), /asterisk/);
  assert.match(said(other.replaceAll('~', '%257E')), /tilde/);
  assert.match(said(other.replace('%2520b', '%25b')), /UploadUrls/);
  assert.match(said(other.replace('JobIds%3Da%26', '')), /JobIds is not in your text/);
  assert.match(said(other.replace('Version%3D', 'Extra%3D1%26Version%3D')), /Extra is only in your text/);
  assert.match(said(other.replace('SignatureNonce%3Dn', 'SignatureNonce%3Dm')), /set it above/);
  assert.match(said(other.replace('%2F&', '%2f&')), /path/);
  assert.match(said('hello'), /neither/);
  const difference = compare(v1, other.replace('JobIds%3Da', 'JobIds%3Db')).difference;
  assert.equal(difference.ours[0] + difference.theirs[0], 'ab');

  const v3 = await signing.sign({ ...base, scheme: 'V3' });
  assert.match(said(v3.stringToSign), /Choose V3/);
  assert.equal(compare(v3, v3.canonicalRequest).equal, true);
  const message = `x server StringToSign is [${v3.stringToSign}] server CanonicalRequest is [${v3.canonicalRequest}]`;
  assert.equal(compare(v3, message).equal, true);
  assert.equal(compare(v3, message.replaceAll('\n', '\\n')).equal, true);
  assert.match(said(v3.canonicalRequest.replace('host:h:1', 'host:h:2'), v3), /header host differs/);
  assert.match(said(v3.canonicalRequest.replace(/[0-9a-f]{64}$/, '0'.repeat(64)), v3), /hash of the body/);
  assert.match(said(v3.canonicalRequest.replace('host:h:1\n', ''), v3), /host is not in your text/);
}

function searchFindsAllWords() {
  assert.ok(matches('CancelUrlUploadJobs Cancels jobs JobIds', 'cancel jobids'));
  assert.ok(!matches('CancelUrlUploadJobs', 'cancel play'));
  assert.ok(matches('anything', ' '));
}

function aPastedErrorNamesItsCode() {
  assert.equal(codeOf('{"Code":"Throttling.User","Message":"x"}'), 'Throttling.User');
  assert.equal(codeOf('<Error><Code>InvalidVersion</Code></Error>'), 'InvalidVersion');
  assert.equal(codeOf(' SignatureDoesNotMatch\n'), 'SignatureDoesNotMatch');
  assert.equal(codeOf('ServerException Code: InvalidVideo.NotFound, x'), 'InvalidVideo.NotFound');
  assert.equal(codeOf('two words'), '');
  const id = '25818875-5F78-4A13-BEF6-D7393642CA58';
  assert.equal(requestOf(`{"RequestId":"${id}","Message":"0193d395-194a-83ad-6ee2-ef27a5b50000"}`), id);
  assert.equal(requestOf(`<Error><RequestId>${id}</RequestId></Error>`), id);
  assert.equal(requestOf(` ${id.toLowerCase()}\n`), id.toLowerCase());
  assert.equal(requestOf(`RequestId : ${id}, x`), id);
  assert.equal(requestOf('0193d395194a83ad6ee2ef27a5b50000'), '');
}

/** Relative luminance and contrast as WCAG 2.2 defines them. */
function contrast(one, other) {
  const [a, b] = [one, other].map((colour) => {
    const [r, g, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue;
  });
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

function bothThemesHaveTheContrastOfAA() {
  const css = readFileSync(new URL('../../server/assets/base.css', import.meta.url), 'utf8');
  const tokens = (text) => Object.fromEntries([...text.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map(([, n, v]) => [n, v]));
  const [first, second] = css.split('@media (prefers-color-scheme: dark)');
  for (const theme of [tokens(first), { ...tokens(first), ...tokens(second) }]) {
    for (const ink of ['ink', 'soft', 'accent', 'good', 'bad', 'ours']) {
      for (const paper of ['paper', 'well', 'sheet']) {
        assert.ok(contrast(theme[ink], theme[paper]) >= 4.5, `${ink} ${theme[ink]} on ${paper} ${theme[paper]}`);
      }
    }
    for (const [ink, tint] of [['good', 'good'], ['bad', 'bad'], ['warn', 'warn'], ['busy', 'busy'], ['soft', 'calm'], ['accent', 'busy']]) {
      assert.ok(contrast(theme[ink], theme[`${tint}-tint`]) >= 4.5, `${ink} on ${tint}-tint`);
    }
    assert.ok(contrast(theme['on-accent'], theme.accent) >= 4.5);
    assert.ok(contrast(theme['on-mark'], theme.mark) >= 4.5);
    assert.ok(contrast(theme.edge, theme.paper) >= 3, 'edges of controls');
  }
}

await ownHashesEqualWebCryptos();
await publishedVectorsAndRecordedRequestsAreSigned();
percentEncodingIsTheServers();
rowsBecomeTheTextOfAList();
structuredEditorsWriteJson();
answersKeepEveryDigitAndHideNothing();
await aComparisonNamesTheMistake();
searchFindsAllWords();
aPastedErrorNamesItsCode();
bothThemesHaveTheContrastOfAA();
console.log('pure: all hold');
