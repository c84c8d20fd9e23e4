// The signature vectors of the contract (§3.1, §4.1; wire/tests/wire/vectors.rs has them for the
// server) and the requests recorded from the official SDKs, as one list; and what the explorer's
// scripts make of them, in Node or in a browser.
//
// A vector: { scheme, method, pairs, headers, hash, secret, canonical, stringToSign, signature }.
// `canonical` and `stringToSign` are null where the source gives only what follows from them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { decode } from '../../server/assets/percent.js';
import { hex, sha256 } from '../../server/assets/hash.js';

const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const FORM = 'application/x-www-form-urlencoded';
const NONCE = '0f1e2d3c4b5a69788796a5b4c3d2e1f0';
export const TWO_URLS = "http%3A%2F%2Fh.example%2Fa%20b.mp4,http://h.example/\u00e9 *~'()!+.mp4";

const CLASSIC = {
  Action: 'CancelUrlUploadJobs', Version: '2017-03-21', UploadUrls: TWO_URLS, RegionId: 'cn-shanghai',
  Timestamp: '2026-01-02T03:04:05Z', SignatureMethod: 'HMAC-SHA1', SignatureType: '',
  SignatureVersion: '1.0', SignatureNonce: NONCE, AccessKeyId: 'testid', Format: 'JSON',
};
const CLASSIC_STRING = '&%2F&AccessKeyId%3Dtestid%26Action%3DCancelUrlUploadJobs%26Format%3DJSON'
  + '%26RegionId%3Dcn-shanghai%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce'
  + `%3D${NONCE}%26SignatureType%3D%26SignatureVersion%3D1.0%26Timestamp`
  + '%3D2026-01-02T03%253A04%253A05Z%26UploadUrls%3Dhttp%25253A%25252F%25252Fh.example%25252F'
  + 'a%252520b.mp4%252Chttp%253A%252F%252Fh.example%252F%25C3%25A9%2520%252A~%2527%2528%2529%2521'
  + '%252B.mp4%26Version%3D2017-03-21';
const VOD = {
  AccessKeyId: 'testAccessKeyId', Action: 'GetVideoPlayAuth', Format: 'JSON',
  SignatureMethod: 'HMAC-SHA1', SignatureNonce: '8f8a035d-6496-4268-afd4-67c22837e38d',
  SignatureVersion: '1.0', Timestamp: '2017-10-10T12:02:54Z', Version: '2017-03-21',
  VideoId: '5aed81b74ba84920be578cdfe004af4b',
};
const ECS = {
  AccessKeyId: 'testid', Action: 'DescribeRegions', Format: 'XML', SignatureMethod: 'HMAC-SHA1',
  SignatureNonce: '3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf', SignatureVersion: '1.0',
  Timestamp: '2016-02-23T12:46:24Z', Version: '2014-05-26',
};

function v1(method, pairs, secret, stringToSign, signature) {
  // In another order than signed.
  return { scheme: 'V1', method, pairs: Object.entries(pairs).reverse(), secret, canonical: null, stringToSign, signature };
}

function v3(query, headers, hash, secret, canonical, digest, signature) {
  return {
    scheme: 'V3', method: 'POST', pairs: Object.entries(query), headers: Object.entries(headers), hash,
    secret, canonical, stringToSign: `ACS3-HMAC-SHA256\n${digest}`, signature,
  };
}

/** Headers of the vectors made with the official TEA code. */
function tea(hash) {
  return {
    host: '127.0.0.1:8080', 'x-acs-action': 'CancelUrlUploadJobs', 'x-acs-content-sha256': hash,
    'x-acs-date': '2026-01-02T03:04:05Z', 'x-acs-signature-nonce': NONCE, 'x-acs-version': '2017-03-21',
  };
}

const JOBS = '956a4f68422c1d0d11375c4a855b5145583171e284b934b0ef4aa7a7744692dc';

/** The last one is a call that the explorer's own form can make: tests/browser types it in. */
export const VECTORS = [
  v1('GET', VOD, 'testAccessKeySecret', 'GET&%2F&AccessKeyId%3DtestAccessKeyId%26Action'
    + '%3DGetVideoPlayAuth%26Format%3DJSON%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce'
    + '%3D8f8a035d-6496-4268-afd4-67c22837e38d%26SignatureVersion%3D1.0%26Timestamp'
    + '%3D2017-10-10T12%253A02%253A54Z%26Version%3D2017-03-21%26VideoId'
    + '%3D5aed81b74ba84920be578cdfe004af4b', 'Ibgh7y8Vp47LBuAsf5Xhi1SvDss='),
  v1('GET', ECS, 'testsecret', null, 'OLeaidS1JvxuMvnyHOwuJ+uX5qY='),
  v1('GET', CLASSIC, 'testsecret', `GET${CLASSIC_STRING}`, '1jTwdXJZyQoNuxRrjtq7zCyvcb8='),
  v1('POST', CLASSIC, 'testsecret', `POST${CLASSIC_STRING}`, 'stb6LzblQXn5aYDbekOzyyarNjo='),
  v3({ RegionId: 'cn-shanghai', ImageId: 'win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd' }, {
    host: 'ecs.cn-shanghai.aliyuncs.com', 'x-acs-action': 'RunInstances', 'x-acs-version': '2014-05-26',
    'x-acs-date': '2023-10-26T10:22:32Z', 'x-acs-signature-nonce': '3156853299f313e23d1673dc12e1703d',
    'x-acs-content-sha256': EMPTY,
  }, EMPTY, 'YourAccessKeySecret', null,
  '7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259',
  '06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0'),
  v3({ UploadUrls: TWO_URLS }, tea(EMPTY), EMPTY, 'testsecret', `POST
/
UploadUrls=http%253A%252F%252Fh.example%252Fa%2520b.mp4%2Chttp%3A%2F%2Fh.example%2F%C3%A9%20%2A~%27%28%29%21%2B.mp4
host:127.0.0.1:8080
x-acs-action:CancelUrlUploadJobs
x-acs-content-sha256:${EMPTY}
x-acs-date:2026-01-02T03:04:05Z
x-acs-signature-nonce:${NONCE}
x-acs-version:2017-03-21

host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version
${EMPTY}`, '3d4573c807ca78380794e7ec777d1df91e35202c10ab22779500fb284dc12e37',
  '1b00d6d409e271bc6d892aed2f624e4e609ef03502d29d1bc4ff0c8e81c6ddc9'),
  v3({}, { ...tea(JOBS), 'content-type': FORM }, JOBS, 'testsecret', null,
    '7c9335bbd14b3e7435ea32f8318afe978b6a6604f31ea23a98778fd57255b6d4',
    'd5ffd3c9bfee7de2b93cebcecf140908d6247b2a1a7a6613ecf73871aea0830e'),
];

function pairsOf(text) {
  return text.split('&').filter((pair) => pair !== '').map((pair) => {
    const at = pair.indexOf('=');
    const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    return [decode(name), decode(value)];
  });
}

/** Every request recorded from the official SDKs. */
export function recorded() {
  const file = new URL('../../wire/tests/data/sdk-captures.txt', import.meta.url);
  const captures = JSON.parse(`[${readFileSync(file, 'utf8').trim().replaceAll(/\n}\n{/g, '\n},\n{')}]`);
  assert.equal(captures.length, 100);
  return captures.map(({ method, raw_query: query, headers, body, verify }) => {
    const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
    const header = (name) => lower.find(([other]) => other === name)?.[1] ?? '';
    const base = { scheme: verify.scheme, method, secret: 'testsecret', canonical: null };
    if (verify.scheme === 'V1') {
      const inBody = header('content-type').includes('urlencoded') ? pairsOf(body) : [];
      const pairs = [...pairsOf(query), ...inBody];
      const signature = pairs.find(([name]) => name === 'Signature')[1];
      return { ...base, pairs, stringToSign: verify.sts, signature };
    }
    const authorization = header('authorization');
    const names = /SignedHeaders=([^,]*)/.exec(authorization)[1].split(';');
    return {
      ...base,
      pairs: pairsOf(query),
      headers: lower.filter(([name]) => names.includes(name)),
      hash: hex(sha256(body)),
      stringToSign: null,
      signature: /Signature=([0-9a-f]*)$/.exec(authorization)[1],
    };
  });
}

/** What must come out of a vector. */
export function expected({ canonical, stringToSign, signature }) {
  return { canonical, stringToSign, signature };
}

/**
 * What the scripts under `base` make of the vectors, with null where a vector has null.
 *
 * Runs in a page, too, so it uses nothing of this module. `isOwn`: without WebCrypto.
 */
export async function computed({ base, vectors, isOwn }) {
  const sign = await import(`${base}sign.js`);
  const subtle = isOwn ? null : globalThis.crypto.subtle;
  if (subtle === undefined) throw new Error('there is no WebCrypto here');
  return Promise.all(vectors.map(async (vector) => {
    const { scheme, method, pairs, headers, hash, secret } = vector;
    const keep = (name, made) => (vector[name] === null ? null : made);
    if (scheme === 'V1') {
      const { stringToSign } = sign.v1StringToSign(method, pairs);
      return {
        canonical: null,
        stringToSign: keep('stringToSign', stringToSign),
        signature: await sign.v1Signature(secret, stringToSign, subtle),
      };
    }
    const { canonical } = sign.v3CanonicalRequest(method, pairs, headers, hash);
    const stringToSign = await sign.v3StringToSign(canonical, subtle);
    return {
      canonical: keep('canonical', canonical),
      stringToSign: keep('stringToSign', stringToSign),
      signature: await sign.v3Signature(secret, stringToSign, subtle),
    };
  }));
}
