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
import { codeOf } from '../../server/assets/lookup.js';
import { matches } from '../../server/assets/search.js';
import { TEXTS, urls } from './awkward.mjs';

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

const TWO_URLS = "http%3A%2F%2Fh.example%2Fa%20b.mp4,http://h.example/\u00e9 *~'()!+.mp4";
const CLASSIC = Object.entries({
  Action: 'CancelUrlUploadJobs', Version: '2017-03-21', UploadUrls: TWO_URLS, RegionId: 'cn-shanghai',
  Timestamp: '2026-01-02T03:04:05Z', SignatureMethod: 'HMAC-SHA1', SignatureType: '',
  SignatureVersion: '1.0', SignatureNonce: '0f1e2d3c4b5a69788796a5b4c3d2e1f0', AccessKeyId: 'testid',
  Format: 'JSON',
});
const VOD = Object.entries({
  AccessKeyId: 'testAccessKeyId', Action: 'GetVideoPlayAuth', Format: 'JSON',
  SignatureMethod: 'HMAC-SHA1', SignatureNonce: '8f8a035d-6496-4268-afd4-67c22837e38d',
  SignatureVersion: '1.0', Timestamp: '2017-10-10T12:02:54Z', Version: '2017-03-21',
  VideoId: '5aed81b74ba84920be578cdfe004af4b',
});
const ECS = Object.entries({
  AccessKeyId: 'testid', Action: 'DescribeRegions', Format: 'XML', SignatureMethod: 'HMAC-SHA1',
  SignatureNonce: '3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf', SignatureVersion: '1.0',
  Timestamp: '2016-02-23T12:46:24Z', Version: '2014-05-26',
});

/** The vectors of wire/tests/wire/vectors.rs. */
async function publishedVectorsAreSigned() {
  for (const [method, pairs, secret, expected] of [
    ['GET', VOD, 'testAccessKeySecret', 'Ibgh7y8Vp47LBuAsf5Xhi1SvDss='],
    ['GET', ECS, 'testsecret', 'OLeaidS1JvxuMvnyHOwuJ+uX5qY='],
    ['GET', CLASSIC, 'testsecret', '1jTwdXJZyQoNuxRrjtq7zCyvcb8='],
    ['POST', CLASSIC, 'testsecret', 'stb6LzblQXn5aYDbekOzyyarNjo='],
  ]) {
    const { stringToSign } = signing.v1StringToSign(method, [...pairs].reverse());
    for (const subtle of [crypto.subtle, null]) {
      assert.equal(await signing.v1Signature(secret, stringToSign, subtle), expected);
    }
  }
  const empty = hash.hex(hash.sha256(''));
  const tea = (contentHash) => [
    ['host', '127.0.0.1:8080'], ['x-acs-action', 'CancelUrlUploadJobs'],
    ['x-acs-content-sha256', contentHash], ['x-acs-date', '2026-01-02T03:04:05Z'],
    ['x-acs-signature-nonce', '0f1e2d3c4b5a69788796a5b4c3d2e1f0'], ['x-acs-version', '2017-03-21'],
  ];
  const bodyHash = hash.hex(hash.sha256('JobIds=j1%2Cj2'));
  for (const [query, headers, contentHash, secret, sts, signature] of [
    [[['RegionId', 'cn-shanghai'], ['ImageId', 'win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd']],
      [['host', 'ecs.cn-shanghai.aliyuncs.com'], ['x-acs-action', 'RunInstances'],
        ['x-acs-version', '2014-05-26'], ['x-acs-date', '2023-10-26T10:22:32Z'],
        ['x-acs-signature-nonce', '3156853299f313e23d1673dc12e1703d'], ['x-acs-content-sha256', empty]],
      empty, 'YourAccessKeySecret', '7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259',
      '06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0'],
    [[['UploadUrls', TWO_URLS]], tea(empty), empty, 'testsecret',
      '3d4573c807ca78380794e7ec777d1df91e35202c10ab22779500fb284dc12e37',
      '1b00d6d409e271bc6d892aed2f624e4e609ef03502d29d1bc4ff0c8e81c6ddc9'],
    [[], [...tea(bodyHash), ['content-type', signing.FORM]], bodyHash, 'testsecret',
      '7c9335bbd14b3e7435ea32f8318afe978b6a6604f31ea23a98778fd57255b6d4',
      'd5ffd3c9bfee7de2b93cebcecf140908d6247b2a1a7a6613ecf73871aea0830e'],
  ]) {
    const { canonical } = signing.v3CanonicalRequest('POST', query, headers, contentHash);
    for (const subtle of [crypto.subtle, null]) {
      const toSign = await signing.v3StringToSign(canonical, subtle);
      assert.equal(toSign, `ACS3-HMAC-SHA256\n${sts}`);
      assert.equal(await signing.v3Signature(secret, toSign, subtle), signature);
    }
  }
}

function pairsOf(text) {
  return text.split('&').filter((pair) => pair !== '').map((pair) => {
    const at = pair.indexOf('=');
    const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    return [percent.decode(name), percent.decode(value)];
  });
}

/** Every request recorded from the official SDKs gets the signature it has. */
async function recordedRequestsAreSigned() {
  const file = new URL('../../wire/tests/data/sdk-captures.txt', import.meta.url);
  const captures = JSON.parse(`[${readFileSync(file, 'utf8').trim().replaceAll(/\n}\n{/g, '\n},\n{')}]`);
  assert.equal(captures.length, 100);
  for (const { method, raw_query: query, headers, body, verify } of captures) {
    const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    const header = (name) => lower.find(([other]) => other === name)?.[1] ?? '';
    if (verify.scheme === 'V1') {
      const inBody = header('content-type').includes('urlencoded') ? pairsOf(body) : [];
      const pairs = [...pairsOf(query), ...inBody];
      const { stringToSign } = signing.v1StringToSign(method, pairs);
      assert.equal(stringToSign, verify.sts);
      const signature = pairs.find(([name]) => name === 'Signature')[1];
      assert.equal(await signing.v1Signature('testsecret', stringToSign), signature);
    } else {
      const authorization = header('authorization');
      const names = /SignedHeaders=([^,]*)/.exec(authorization)[1].split(';');
      const signed = lower.filter(([name]) => names.includes(name));
      const contentHash = hash.hex(hash.sha256(body));
      const { canonical } = signing.v3CanonicalRequest(method, pairsOf(query), signed, contentHash);
      const signature = await signing.v3Signature('testsecret', await signing.v3StringToSign(canonical));
      assert.equal(signature, /Signature=([0-9a-f]*)$/.exec(authorization)[1]);
    }
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
  const css = readFileSync(new URL('../../server/assets/explorer.css', import.meta.url), 'utf8');
  const tokens = (text) => Object.fromEntries([...text.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map(([, n, v]) => [n, v]));
  const [first, second] = css.split('@media (prefers-color-scheme: dark)');
  for (const theme of [tokens(first), { ...tokens(first), ...tokens(second) }]) {
    for (const ink of ['ink', 'soft', 'accent', 'good', 'bad', 'ours']) {
      for (const paper of ['paper', 'well']) {
        assert.ok(contrast(theme[ink], theme[paper]) >= 4.5, `${ink} ${theme[ink]} on ${paper} ${theme[paper]}`);
      }
    }
    assert.ok(contrast(theme['on-accent'], theme.accent) >= 4.5);
    assert.ok(contrast(theme['on-mark'], theme.mark) >= 4.5);
    assert.ok(contrast(theme.edge, theme.paper) >= 3, 'edges of controls');
  }
}

await ownHashesEqualWebCryptos();
await publishedVectorsAreSigned();
await recordedRequestsAreSigned();
percentEncodingIsTheServers();
rowsBecomeTheTextOfAList();
structuredEditorsWriteJson();
answersKeepEveryDigitAndHideNothing();
await aComparisonNamesTheMistake();
searchFindsAllWords();
aPastedErrorNamesItsCode();
bothThemesHaveTheContrastOfAA();
console.log('pure: all hold');
