// Signs in with an access key: makes a ticket by an API call that is signed here. The secret stays
// in this page and its fields have no name, so that no form sends it.

import { freshNonce, sign, utc } from './sign.js';
import { showScripted } from './dom.js';

const form = document.getElementById('ticket');
const field = (id) => document.getElementById(id);

async function ticket(keyId, secret) {
  const request = await sign({
    scheme: 'V3', method: 'POST', format: 'JSON', action: 'CreateConsoleSession',
    version: '2017-03-21', params: [], host: location.host, keyId, secret,
    time: utc(new Date()), nonce: freshNonce(),
  });
  const answer = await fetch(request.path, {
    method: request.method, headers: request.headers, body: request.body,
    credentials: 'omit', cache: 'no-store',
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(words(body));
  return body.Ticket;
}

function words(body) {
  switch (body.Code) {
    case 'InvalidAccessKeyId.NotFound': return 'This server knows no such AccessKey ID.';
    case 'InvalidAccessKeyId.Inactive': return 'This access key is disabled.';
    case 'SignatureDoesNotMatch': return 'The secret is not the one of this key.';
    case 'InvalidTimeStamp.Expired': return 'The clock of this computer differs from the server’s by more than 15 minutes.';
    default: return `${body.Code}: ${body.Message}`;
  }
}

form.addEventListener('submit', async (event) => {
  if (field('value').value.trim()) return;
  event.preventDefault();
  const said = field('sign-problem');
  const [keyId, secret] = [field('key').value.trim(), field('secret').value.trim()];
  said.textContent = keyId && secret ? '' : 'Give both the id and the secret.';
  if (!keyId || !secret) return;
  field('sign').disabled = true;
  try {
    field('value').value = await ticket(keyId, secret);
    field('secret').value = '';
    form.submit();
  } catch (error) {
    said.textContent = error instanceof TypeError ? 'The server does not answer.' : error.message;
    field('sign').disabled = false;
  }
});

showScripted();
