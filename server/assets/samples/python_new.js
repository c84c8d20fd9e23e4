import { isNumber, python } from './quote.js';

export const id = 'python';
export const label = 'Python';
export const note = 'Current SDK: pip install alibabacloud-vod20170321';

/** Names of the SDK: `UploadURLs` is `upload_urls`, `GetURLUploadInfos` is `get_urlupload_infos`. */
export function snake(name) {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

function value(parameter) {
  if (parameter.kind === 'boolean' && /^(true|false)$/.test(parameter.value)) {
    return parameter.value === 'true' ? 'True' : 'False';
  }
  return isNumber(parameter) ? parameter.value : python(parameter.value);
}

function config(call) {
  const v1 = call.scheme === 'V1' ? '    signature_algorithm="v2",\n' : '';
  return `client = Client(Config(
    access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    endpoint=${python(call.host)},
    protocol=${python(call.protocol)},
${v1}))`;
}

export function sample(call) {
  // The SDK knows the cloud's operations and parameters; what Haulage adds goes the general way.
  return call.ours || call.params.some((parameter) => parameter.ours) ? general(call) : typed(call);
}

function typed(call) {
  const fields = call.params.map((p) => `    ${snake(p.name)}=${value(p)},\n`).join('');
  return `import json
import os

from alibabacloud_tea_openapi.utils_models import Config
from alibabacloud_vod20170321.client import Client
from alibabacloud_vod20170321.models import ${call.action}Request

${config(call)}
request = ${call.action}Request(
${fields})
response = client.${snake(call.action)}(request)
print(json.dumps(response.body.to_map(), ensure_ascii=False))
`;
}

function general(call) {
  const query = call.params.map((p) => `    ${python(p.name)}: ${python(p.value)},\n`).join('');
  return `import json
import os

from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

${config(call)}
params = Params(
    action=${python(call.action)},
    version=${python(call.version)},
    protocol=${python(call.protocol.toUpperCase())},
    pathname="/",
    method=${python(call.method)},
    auth_type="AK",
    style="RPC",
    req_body_type="formData",
    body_type="json",
)
request = OpenApiRequest(query={
${query}})
response = client.call_api(params, request, RuntimeOptions())
print(json.dumps(response["body"], ensure_ascii=False))
`;
}
