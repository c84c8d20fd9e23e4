import { shell } from './quote.js';

export const id = 'aliyun';
export const label = 'aliyun';
export const note = "The cloud's command line. It reads the key from its profile or from the two variables.";

export function sample(call) {
  const plain = call.protocol === 'http' ? ' --insecure' : '';
  const params = call.params.map((p) => ` \\\n  --${p.name} ${shell(p.value)}`).join('');
  return `aliyun vod ${call.action} --version ${call.version} --force \\
  --region cn-shanghai --endpoint ${shell(call.host)}${plain}${params}
`;
}
