import { javascript } from './quote.js';

export const id = 'node-classic';
export const label = 'Node.js (classic)';
export const note = 'Classic core: npm install @alicloud/pop-core';

export function sample(call) {
  const params = call.params.map((p) => `  ${p.name}: ${javascript(p.value)},\n`).join('');
  return `const { RPCClient } = require('@alicloud/pop-core');

const client = new RPCClient({
  endpoint: ${javascript(`${call.protocol}://${call.host}`)},
  apiVersion: ${javascript(call.version)},
  accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
  accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
});
const params = {
${params}};
client.request(${javascript(call.action)}, params, { method: ${javascript(call.method)} })
  .then((body) => console.log(JSON.stringify(body)))
  .catch((error) => {
    console.error(error.code, error.message);
    process.exitCode = 1;
  });
`;
}
