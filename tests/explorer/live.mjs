// The explorer's signatures against a running server: ENDPOINT, ACCESS_KEY_ID, ACCESS_KEY_SECRET.

import assert from 'node:assert/strict';
import { compare } from '../../server/assets/compare.js';
import { member, pretty } from '../../server/assets/pretty.js';
import { freshNonce, sign, utc } from '../../server/assets/sign.js';
import { metadatas, urlList } from '../../server/assets/values.js';
import { TITLE, urls } from './awkward.mjs';

export const VERSION = '2017-03-21';

/** Signs as the page does and sends with fetch; `changes` are those of the form. */
export async function send(action, params, changes = {}, subtle = crypto.subtle) {
  const endpoint = new URL(changes.endpoint ?? process.env.ENDPOINT);
  const request = await sign({
    scheme: 'V3', method: 'POST', format: 'JSON', action, version: VERSION, params,
    host: endpoint.host, keyId: process.env.ACCESS_KEY_ID, secret: process.env.ACCESS_KEY_SECRET,
    token: '', time: utc(new Date()), nonce: freshNonce(), ...changes,
  }, subtle);
  const { method, path, headers, body } = request;
  const response = await fetch(new URL(path, endpoint), { method, headers, body: body ?? undefined });
  return { request, status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

async function everyWayOfSigningIsAccepted() {
  let run = 0;
  for (const scheme of ['V1', 'V3']) {
    for (const method of ['GET', 'POST']) {
      for (const format of ['JSON', 'XML']) {
        for (const subtle of [crypto.subtle, null]) {
          run += 1;
          const rows = urls(`live${run}`);
          const way = { scheme, method, format };
          const upload = await send('UploadMediaByURL', [
            ['UploadURLs', urlList(rows)],
            ['UploadMetadatas', metadatas([[['SourceURL', rows[0]], ['Title', TITLE]]])],
          ], way, subtle);
          assert.equal(upload.status, 200, JSON.stringify(way) + upload.text);
          assert.match(upload.type, format === 'JSON' ? /json/ : /xml/);
          assert.ok(pretty(upload.type, upload.text).includes('\n'));
          assert.notEqual(member(upload.text, 'RequestId'), '');

          const info = await send('GetURLUploadInfos', [
            ['UploadURLs', urlList([rows[0]])], ['IncludeProgress', 'true']], { scheme, method }, subtle);
          assert.equal(info.status, 200, info.text);
          const [job] = JSON.parse(info.text).URLUploadInfoList;
          assert.equal(job.UploadURL, rows[0], 'the URL arrived as it was typed');

          const list = await send('ListUrlUploadJobs', [], way, subtle);
          assert.equal(list.status, 200, list.text);
        }
      }
    }
  }
}

async function aWrongSecretIsExplainedFromTheServersAnswer() {
  for (const scheme of ['V1', 'V3']) {
    for (const format of ['JSON', 'XML']) {
      const params = [['JobIds', "a b*~,é'"]];
      const wrong = await send('CancelUrlUploadJobs', params, { scheme, format, secret: 'wrong' });
      assert.equal(wrong.status, 400);
      assert.equal(member(wrong.text, 'Code'), 'SignatureDoesNotMatch');
      const said = compare(wrong.request, member(wrong.text, 'Message'));
      assert.equal(said.equal, true, `${scheme} ${format}: ${said.hints} ${wrong.text}`);
      assert.match(said.hints[0], /Secret/);
    }
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  await everyWayOfSigningIsAccepted();
  await aWrongSecretIsExplainedFromTheServersAnswer();
  console.log('live: all hold');
}
