import { javascript } from './quote.js';

export const id = 'node';
export const label = 'Node.js';
export const note = 'Current core, also for TypeScript: npm install @alicloud/openapi-core @darabonba/typescript';

export function sample(call) {
  const query = call.params.map((p) => `  ${p.name}: ${javascript(p.value)},\n`).join('');
  const v1 = call.scheme === 'V1' ? "  signatureAlgorithm: 'v2',\n" : '';
  return `const { default: OpenApi, $OpenApiUtil } = require('@alicloud/openapi-core');
const { RuntimeOptions } = require('@darabonba/typescript');

const client = new OpenApi(new $OpenApiUtil.Config({
  accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,
  accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
  endpoint: ${javascript(call.host)},
  protocol: ${javascript(call.protocol)},
${v1}}));
const params = new $OpenApiUtil.Params({
  action: ${javascript(call.action)},
  version: ${javascript(call.version)},
  protocol: ${javascript(call.protocol.toUpperCase())},
  pathname: '/',
  method: ${javascript(call.method)},
  authType: 'AK',
  style: 'RPC',
  reqBodyType: 'formData',
  bodyType: 'json',
});
const query = {
${query}};
client.callApi(params, new $OpenApiUtil.OpenApiRequest({ query }), new RuntimeOptions({}))
  .then(({ body }) => console.log(JSON.stringify(body)))
  .catch((error) => {
    console.error(error.code, error.message);
    process.exitCode = 1;
  });
`;
}
