import { plainUrl } from '../values.js';
import { shell } from './quote.js';

export const id = 'haulage';
export const label = 'haulage';
export const note = "Haulage's own command line.";

/** What each verb sends of its operation. */
const VERBS = {
  UploadMediaByURL: ['UploadURLs', 'UploadMetadatas', 'SessionId'],
  GetURLUploadInfos: ['JobIds', 'UploadURLs', 'IncludeProgress'],
  CancelUrlUploadJobs: ['JobIds', 'UploadUrls', 'IncludeOutcomes'],
  ListUrlUploadJobs: ['Status', 'ErrorCode', 'UploadURL', 'StartTime', 'EndTime', 'PageSize'],
  CreateConsoleSession: [],
};

/** Whether the command line has a verb for the operation. */
export function hasVerb(action) {
  return action in VERBS;
}

export function sample(call) {
  if (!hasVerb(call.action)) return `# haulage has no verb for ${call.action}; the tab curl does it.\n`;
  const value = (name) => call.params.find((p) => p.name === name)?.value ?? '';
  const left = call.params.map((p) => p.name).filter((name) => !VERBS[call.action].includes(name));
  const notSent = left.length > 0 ? `# The verb does not send: ${left.join(', ')}\n` : '';
  return `export HAULAGE_ACCESS_KEY_ID="$ALIBABA_CLOUD_ACCESS_KEY_ID"
export HAULAGE_ACCESS_KEY_SECRET="$ALIBABA_CLOUD_ACCESS_KEY_SECRET"
${notSent}haulage ${command(call, value)}
`;
}

function command(call, value) {
  const server = `--server ${shell(`${call.protocol}://${call.host}`)} --json`;
  switch (call.action) {
    case 'UploadMediaByURL':
      return `submit ${server}${submitted(value)}`;
    case 'GetURLUploadInfos':
      return `jobs ${server} -- ${selected(value('JobIds'), value('UploadURLs'))}`;
    case 'CancelUrlUploadJobs':
      return `cancel ${server} -- ${selected(value('JobIds'), value('UploadUrls'))}`;
    case 'CreateConsoleSession':
      return `console ${server}`;
    default: {
      const flag = (name, of) => (value(of) ? ` --${name} ${shell(value(of))}` : '');
      const search = flag('error', 'ErrorCode') + flag('url', 'UploadURL') + flag('since', 'StartTime')
        + flag('until', 'EndTime');
      return `jobs ${server}${flag('status', 'Status')}${search}${flag('limit', 'PageSize')}`;
    }
  }
}

function items(text) {
  return text === '' ? [] : text.split(',');
}

function selected(ids, urls) {
  const chosen = ids === '' ? items(urls).map(plainUrl) : items(ids).map((item) => item.trim());
  return chosen.map(shell).join(' ');
}

function submitted(value) {
  const session = value('SessionId') ? ` --session-id ${shell(value('SessionId'))}` : '';
  const urls = items(value('UploadURLs')).map((item) => shell(plainUrl(item))).join(' ');
  const metadata = plainMetadata(value('UploadMetadatas'));
  const [flag, input] = metadata === '' ? ['', ''] : [' --metadata -', ` <<< ${shell(metadata)}`];
  return `${session}${flag} -- ${urls}${input}`;
}

/** The command line takes URLs as they are, in the metadata too. */
function plainMetadata(json) {
  if (json === '') return '';
  try {
    const isUrl = (name, value) => /^sourceurl$/i.test(name) && typeof value === 'string';
    return JSON.stringify(JSON.parse(json, (name, v) => (isUrl(name, v) ? plainUrl(v) : v)));
  } catch {
    return json;
  }
}
