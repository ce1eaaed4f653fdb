import { urlIn } from './domain.js';
import { Fault } from './faults.js';
import { Problem, readFields, secret, type Submitted, type Values } from './fields.js';
import type { Headers } from './vault.js';

/** What admins, and nobody else, configure of a feed: what its server is told so that it answers. */
export const CREDENTIAL_FIELDS = {
  authorization: secret(
    'hydrant#authorization',
    'User and password that its server is told, as user:password',
    'text-private',
    readAuthorization,
  ),
  headers: secret('hydrant#headers', 'Headers that its server is sent, each as Name: value', 'text-multi', readHeaders),
};

/** What a form shows of the credentials. */
export type ShownCredentials = Values<typeof CREDENTIAL_FIELDS>;

// Both fields are kept as headers; an Authorization that is Basic is the first one's, whoever has written it.
const isOfUser = (name: string, value: string) => name === 'authorization' && value.startsWith('Basic ');

function divided(headers: Headers): { readonly authorization: Headers; readonly headers: Headers } {
  const all = Object.entries(headers);
  return {
    authorization: Object.fromEntries(all.filter(([name, value]) => isOfUser(name, value))),
    headers: Object.fromEntries(all.filter(([name, value]) => !isOfUser(name, value))),
  };
}

/** What a form shows where these are the credentials; what cannot be read may be either. */
export function shownCredentials(held: Headers | 'unreadable'): ShownCredentials {
  if (held === 'unreadable') return { authorization: 'set', headers: 'set' };
  const { authorization, headers } = divided(held);
  const shown = (part: Headers) => (Object.keys(part).length > 0 ? 'set' : 'none');
  return { authorization: shown(authorization), headers: shown(headers) };
}

/**
 * What the credentials are after a form was submitted; undefined where it leaves them as they are.
 * @throws Fault `not-acceptable`, never repeating what was submitted
 */
export function credentialsAfter(held: Headers | 'unreadable', submitted: Submitted): Headers | undefined {
  const { authorization = 'set', headers = 'set' } = readFields(CREDENTIAL_FIELDS, submitted, 'not-acceptable');
  if (authorization === 'set' && headers === 'set') return undefined;
  if (held === 'unreadable' && (authorization === 'set' || headers === 'set')) {
    throw new Fault(
      'not-acceptable',
      'What is set cannot be read with this CREDENTIALS_KEY: fill in or empty both hydrant#authorization and hydrant#headers',
    );
  }
  const before = divided(held === 'unreadable' ? {} : held);
  const first = after(authorization, before.authorization);
  const others = after(headers, before.headers);
  if ('authorization' in first && 'authorization' in others) {
    throw new Fault('not-acceptable', 'hydrant#headers must not have an Authorization beside hydrant#authorization');
  }
  const all = { ...first, ...others };
  return JSON.stringify(all) === JSON.stringify(held) ? undefined : all;
}

const after = (submitted: ShownCredentials[keyof ShownCredentials], before: Headers): Headers =>
  submitted === 'set' ? before : submitted === 'none' ? {} : submitted.given;

/** The header of a user and a password (RFC 7617 2); the user has no colon, either may be empty. */
const basicAuthorization = (user: string, password: string): Headers => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`,
});

/**
 * Takes the user and the password out of a URL (RFC 3986 3.2.1).
 * @throws Fault `not-a-feed` when they are not the percent-encoding of anything
 */
export function withoutUserinfo(text: string): { readonly url: string; readonly headers: Headers } {
  const url = urlIn(text);
  if (!url?.username && !url?.password) return { url: text, headers: {} };
  const { username, password } = url;
  [url.username, url.password] = ['', ''];
  try {
    return { url: url.href, headers: basicAuthorization(decodeURIComponent(username), decodeURIComponent(password)) };
  } catch {
    throw new Fault('not-a-feed', 'The credentials in that URL are not percent-encoded');
  }
}

const CREDENTIALS_MAX = 512;

function readAuthorization(values: readonly string[]): Headers {
  const [text = '', ...more] = values;
  if (more.length > 0) throw new Problem('takes one value');
  if (text.length > CREDENTIALS_MAX) throw new Problem(`must not be longer than ${CREDENTIALS_MAX} characters`);
  const colon = text.indexOf(':');
  // RFC 7617 2: no control characters.
  if (colon < 0 || /[\p{Cc}\p{Cs}]/u.test(text)) throw new Problem('must be user:password');
  return basicAuthorization(text.slice(0, colon), text.slice(colon + 1));
}

const LINES_MAX = 10;
const LINE_MAX = 1_024;

// RFC 9110 5.1 and 5.5, of the values only what every server reads in the same way.
const HEADER = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*$/;

// What says how a request is sent and how it is to be answered is not for others to say (RFC 9110 7.2, 7.6.1, 8.6, 13.1).
const OURS: ReadonlySet<string> = new Set([
  ...['host', 'content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'te', 'trailer', 'expect'],
  ...['proxy-connection', 'http2-settings', 'accept-encoding', 'range', 'if-range'],
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'],
]);

function readHeaders(values: readonly string[]): Headers {
  // A line is a value (XEP-0004 3.3), but there are clients that send all of them as one.
  const lines = values.flatMap((value) => value.split(/\r?\n/)).filter(Boolean);
  if (lines.length > LINES_MAX) throw new Problem(`must not have more than ${LINES_MAX} lines`);
  const headers = lines.map((line) => {
    if (line.length > LINE_MAX) throw new Problem(`must not have lines of more than ${LINE_MAX} characters`);
    const [, name = '', value = ''] = HEADER.exec(line) ?? [];
    if (!name) throw new Problem('must be lines such as X-Key: value, of ASCII characters');
    return [name.toLowerCase(), value] as const;
  });
  const names = new Set(headers.map(([name]) => name));
  const ours = [...names].filter((name) => OURS.has(name));
  if (ours.length > 0) throw new Problem(`must not have ${ours.join(', ')}`);
  if (names.size < headers.length) throw new Problem('must not have the same header twice');
  return Object.fromEntries(headers);
}
