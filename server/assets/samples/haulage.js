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
  ReplaceUploadUrl: ['JobId', 'UploadURL', 'Headers', 'BasicAuth'],
  ListUrlUploadJobs: ['Status', 'ErrorCode', 'UploadURL', 'StartTime', 'EndTime', 'PageSize'],
  CreateConsoleSession: [],
};

/** Verbs that work on the data directory itself: they need no key, and send nothing. */
const LOCAL = {
  ListAccounts: () => 'account list --json',
  CreateAccount: (value) => `account create --json${value('Operator') === 'true' ? ' --operator' : ''} -- ${shell(value('AccountName'))}`,
  UpdateAccount: (value) => accountChange(value).map((verb) => `account ${verb[0]} --json -- ${shell(value('AccountName'))}${verb[1]}`).join(' &&\nhaulage '),
  ListAccessKeys: (value) => `key list --json${value('Account') ? ` --account ${shell(value('Account'))}` : ''}`,
  CreateAccessKey: (value) => `key create --json --account ${shell(value('AccountName'))}`,
  UpdateAccessKey: (value) => `key ${value('Status') === 'Inactive' ? 'disable' : 'enable'} --json -- ${shell(value('UserAccessKeyId'))}`,
  DeleteAccessKey: (value) => `key delete --json -- ${shell(value('UserAccessKeyId'))}`,
};

/** The verbs of a change of an account, each with what follows the name. */
function accountChange(value) {
  const verbs = [];
  const chosen = (name, yes, no) => {
    if (value(name) !== '') verbs.push([value(name).toLowerCase() === 'true' ? yes : no, '']);
  };
  chosen('Enabled', 'enable', 'disable');
  if (value('Weight') !== '') verbs.push(['weight', ` ${shell(value('Weight'))}`]);
  chosen('Paused', 'pause', 'resume');
  return verbs.length > 0 ? verbs : [['list', '']];
}

/** Whether the command line has a verb for the operation. */
export function hasVerb(action) {
  return action in VERBS || isLocal(action);
}

/** Whether that verb works on the server's own machine instead of sending a call. */
export function isLocal(action) {
  return action in LOCAL;
}

export function sample(call) {
  const value = (name) => call.params.find((p) => p.name === name)?.value ?? '';
  if (isLocal(call.action)) {
    return `# Runs on the server's machine: the verb works on its data directory and sends no call.
haulage ${LOCAL[call.action](value)}
`;
  }
  if (!hasVerb(call.action)) {
    return `# The command line has no verb for ${call.action}.
# The tab curl makes this call from a shell; the SDKs' tabs make it from a program.
`;
  }
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
    case 'ReplaceUploadUrl':
      return `replace ${server}${confided(value)}`;
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

/** The job, its URL, and what is confided for it on standard input. */
function replaced(value, flag, input) {
  return `${flag} -- ${shell(value('JobId'))} ${shell(plainUrl(value('UploadURL')))}${input}`;
}

function confided(value) {
  const fields = ['Headers', 'BasicAuth'].filter((name) => value(name) !== '');
  if (fields.length === 0) return replaced(value, '', '');
  const object = `{${fields.map((name) => `"${name}":${value(name)}`).join(',')}}`;
  return replaced(value, ' --metadata -', ` <<< ${shell(object)}`);
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
