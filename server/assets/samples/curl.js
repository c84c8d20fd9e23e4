import { encode, form } from '../percent.js';
import { ALGORITHM, FORM, sorted } from '../sign.js';
import { shell } from './quote.js';

export const id = 'curl';
export const label = 'curl';
export const note = 'A script for bash with curl and openssl. The parameters stand in it as they are signed: percent-encoded.';

const BEGIN = (call) => `#!/usr/bin/env bash
set -euo pipefail

host=${shell(call.host)}
key=$ALIBABA_CLOUD_ACCESS_KEY_ID
secret=$ALIBABA_CLOUD_ACCESS_KEY_SECRET
time=$(date -u +%Y-%m-%dT%H:%M:%SZ)
nonce=$(openssl rand -hex 16)
`;

export function sample(call) {
  return call.scheme === 'V1' ? v1(call) : v3(call);
}

function pairsOf(call) {
  return call.params.map((p) => [p.name, p.value]);
}

function v3(call) {
  const params = call.format === 'JSON' ? pairsOf(call) : [...pairsOf(call), ['Format', call.format]];
  const inBody = call.method === 'POST' && params.length > 0;
  const signed = ['host', 'x-acs-action', 'x-acs-content-sha256', 'x-acs-date',
    'x-acs-signature-nonce', 'x-acs-version'];
  if (inBody) signed.unshift('content-type');
  const query = inBody ? '' : form(sorted(params));
  return `${BEGIN(call)}query='${query}'
body='${inBody ? form(params) : ''}'
hash=$(printf %s "$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
signed='${signed.join(';')}'
canonical="${call.method}
/
$query
${inBody ? `content-type:${FORM}\n` : ''}host:$host
x-acs-action:${call.action}
x-acs-content-sha256:$hash
x-acs-date:$time
x-acs-signature-nonce:$nonce
x-acs-version:${call.version}

$signed
$hash"
string_to_sign="${ALGORITHM}
$(printf %s "$canonical" | openssl dgst -sha256 -r | cut -d' ' -f1)"
signature=$(printf %s "$string_to_sign" | openssl dgst -sha256 -hmac "$secret" -r | cut -d' ' -f1)

curl --silent --show-error --request ${call.method} "${call.protocol}://$host/\${query:+?$query}" \\
  ${inBody ? `--header 'content-type: ${FORM}' --data-binary "$body" \\\n  ` : ''}--header 'x-acs-action: ${call.action}' \\
  --header 'x-acs-version: ${call.version}' \\
  --header "x-acs-date: $time" \\
  --header "x-acs-signature-nonce: $nonce" \\
  --header "x-acs-content-sha256: $hash" \\
  --header "authorization: ${ALGORITHM} Credential=$key,SignedHeaders=$signed,Signature=$signature"
echo
`;
}

function v1(call) {
  const fixed = [
    ...pairsOf(call),
    ['Action', call.action],
    ['Version', call.version],
    ['Format', call.format],
    ['SignatureMethod', 'HMAC-SHA1'],
    ['SignatureVersion', '1.0'],
  ];
  // What the script fills in; in the string to sign everything is encoded twice.
  const late = { AccessKeyId: '$key', SignatureNonce: '$nonce', Timestamp: '${time//:/%253A}' };
  const names = sorted([...fixed, ...Object.keys(late).map((name) => [name, ''])]);
  const canonical = names
    .map(([name, value]) => `${encode(encode(name))}%3D${late[name] ?? encode(encode(value))}`)
    .join('%26');
  const send = call.method === 'POST'
    ? `curl --silent --show-error "${call.protocol}://$host/" --data-binary "$params"`
    : `curl --silent --show-error "${call.protocol}://$host/?$params"`;
  return `${BEGIN(call)}string_to_sign="${call.method}&%2F&${canonical}"
signature=$(printf %s "$string_to_sign" | openssl dgst -sha1 -hmac "$secret&" -binary | openssl base64)
signature=\${signature//+/%2B}
signature=\${signature//\\//%2F}
signature=\${signature//=/%3D}
params='${form(fixed)}'
params+="&AccessKeyId=$key&SignatureNonce=$nonce&Timestamp=\${time//:/%3A}&Signature=$signature"

${send}
echo
`;
}
