import { python } from './quote.js';

export const id = 'python-classic';
export const label = 'Python (classic)';
export const note = 'Classic SDK: pip install aliyun-python-sdk-core aliyun-python-sdk-vod';

export function sample(call) {
  const params = call.params
    .map((p) => `request.add_query_param(${python(p.name)}, ${python(p.value)})\n`)
    .join('');
  const [load, make] = call.ours
    ? ['from aliyunsdkcore.request import CommonRequest', common(call)]
    : [`from aliyunsdkvod.request.v20170321.${call.action}Request import ${call.action}Request`,
      `request = ${call.action}Request()\nrequest.set_endpoint(${python(call.hostname)})`];
  return `import os

from aliyunsdkcore.client import AcsClient
${load}

client = AcsClient(
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
    "cn-shanghai",
    port=${call.port},
)
${make}
request.set_protocol_type(${python(call.protocol)})
request.set_method(${python(call.method)})
${params}print(client.do_action_with_exception(request).decode("utf-8"))
`;
}

function common(call) {
  return `request = CommonRequest(
    domain=${python(call.hostname)},
    version=${python(call.version)},
    action_name=${python(call.action)},
    product="vod",
)`;
}
