import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { ConfigError, loadConfig, settings } from '../../lib/config.js';

const SECRET = { XMPP_SECRET: 'secret' };
const example = readFileSync('.env.example', 'utf8');

/** What the operator is told, a line each, without the heading. */
function problems(env: Readonly<Record<string, string>>): string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
}

describe('.env.example', () => {
  it('has every setting, in order, and nothing else', () => {
    const names = example.split('\n').flatMap((line) => /^#?\s*([A-Z][A-Z_]+)=/.exec(line)?.[1] ?? []);
    expect(names).toEqual(settings);
  });

  it('explains each setting in one line above it', () => {
    const lines = example.split('\n');
    for (const name of settings) {
      const at = lines.findIndex((line) => line.startsWith(`${name}=`));
      expect(lines[at - 1]).toMatch(/^# [A-Z].{10,}[.]$/);
    }
  });

  it('works as it stands, and shows the defaults', () => {
    expect(loadConfig(parseEnv(example) as Record<string, string>)).toEqual(loadConfig(SECRET));
  });
});

describe('settings', () => {
  it('need nothing but the secret', () => {
    expect(problems(SECRET)).toEqual([]);
    expect(problems({})).toEqual(['XMPP_SECRET: is missing: the component secret of the XMPP server']);
  });

  it('that are empty are absent', () => {
    const empty = Object.fromEntries(settings.map((name) => [name, '']));
    expect(loadConfig({ ...empty, ...SECRET })).toEqual(loadConfig(SECRET));
    expect(loadConfig({ ...SECRET, PUBLIC_URL: '' }).PUBLIC_URL).toBeUndefined();
  });

  it('that are not ours are not looked at', () => {
    expect(loadConfig({ ...SECRET, PATH: '/bin', XMPP_SECRETS: 'x' })).toEqual(loadConfig(SECRET));
  });

  it('have a key for credentials: 32 bytes, as base64 or in hexadecimal digits, or none', () => {
    const bytes = Buffer.from(Array.from({ length: 32 }, (_, i) => 7 * i));
    for (const key of [bytes.toString('base64'), bytes.toString('hex'), bytes.toString('hex').toUpperCase()]) {
      expect(loadConfig({ ...SECRET, CREDENTIALS_KEY: key }).CREDENTIALS_KEY).toEqual(bytes);
    }
    expect(loadConfig(SECRET).CREDENTIALS_KEY).toBeUndefined();
    for (const key of ['canary', bytes.toString('base64').slice(1), `${bytes.toString('hex')}00`, 'ä'.repeat(32)]) {
      expect(problems({ ...SECRET, CREDENTIALS_KEY: key })).toEqual([
        'CREDENTIALS_KEY: must be 32 bytes as base64 or in hexadecimal digits, as `openssl rand -base64 32` gives them',
      ]);
    }
  });

  it('can be lists', () => {
    const config = loadConfig({
      ...SECRET,
      XMPP_ADMINS: 'romeo@example.net, juliet@example.net,',
      REDIS_URL: 'redis://a:1, rediss://b:2',
      FETCH_ALLOW: '127.0.0.0/8,fd00::/8',
    });
    expect(config.XMPP_ADMINS).toEqual(['romeo@example.net', 'juliet@example.net']);
    expect(config.REDIS_URL).toEqual(['redis://a:1', 'rediss://b:2']);
    expect(config.FETCH_ALLOW).toEqual(['127.0.0.0/8', 'fd00::/8']);
    expect(loadConfig(SECRET).XMPP_ADMINS).toEqual([]);
  });

  it.each([
    ['XMPP_SERVICE', '127.0.0.1:5347'],
    ['XMPP_SERVICE', 'http://127.0.0.1:5347'],
    ['XMPP_DOMAIN', 'me@feeds.example'],
    ['XMPP_DOMAIN', 'feeds example'],
    ['XMPP_ADMINS', 'romeo@example.net/phone'],
    ['XMPP_ADMINS', 'romeo'],
    ['REDIS_URL', 'localhost:6379'],
    ['REDIS_URL', 'redis://a:1,,redis://b:1'],
    ['REDIS_URL', 'http://a:1'],
    ['HTTP_PORT', '65536'],
    ['HTTP_PORT', '-1'],
    ['HTTP_PORT', 'http'],
    ['PUBLIC_URL', 'feeds.example'],
    ['POLL_MIN_SECONDS', '0'],
    ['POLL_MAX_SECONDS', '1.5'],
    ['FETCH_CONCURRENCY', 'many'],
    ['FETCH_PER_HOST', '-2'],
    ['FETCH_TIMEOUT_SECONDS', '20s'],
    ['FETCH_MAX_BYTES', '10 MB'],
    ['FETCH_ALLOW', '127.0.0.1'],
    ['FETCH_ALLOW', '10.0.0.0/33'],
    ['PING_MIN_SECONDS', 'Infinity'],
    ['ITEMS_PER_NODE', '0'],
    ['LOG_KEEP_HOURS', ' '],
    ['MAX_SUBSCRIPTIONS', 'none'],
    ['WHO_MAY_ADD', 'everyone'],
    ['LOG_LEVEL', 'verbose'],
    ['PARTITIONS', '1025'],
    ['STANZA_MAX_BYTES', '1000000'],
  ])('%s=%s is named as a problem', (name, value) => {
    expect(problems({ ...SECRET, [name]: value })).toEqual([expect.stringMatching(`^${name}: .+`)]);
  });

  it('are complained of all at once', () => {
    const names = problems({
      XMPP_SERVICE: 'nowhere',
      HTTP_PORT: 'x',
      POLL_MIN_SECONDS: '600',
      POLL_MAX_SECONDS: '60',
      FETCH_ALLOW: 'all',
      WHO_MAY_ADD: 'nobody',
    }).map((line) => line.split(':')[0]);
    expect(names.sort()).toEqual(
      ['FETCH_ALLOW', 'HTTP_PORT', 'POLL_MIN_SECONDS', 'WHO_MAY_ADD', 'XMPP_SECRET', 'XMPP_SERVICE'].sort(),
    );
  });

  it('must let the shortest time between two looks be the shortest', () => {
    expect(problems({ ...SECRET, POLL_MIN_SECONDS: '1000' })).toEqual([
      'POLL_MIN_SECONDS: must not be above POLL_MAX_SECONDS',
    ]);
    expect(problems({ ...SECRET, POLL_MIN_SECONDS: '900' })).toEqual([]);
  });

  it('are not repeated in the message, as one may be a secret', () => {
    expect(
      problems({ XMPP_SECRET: 'canary', REDIS_URL: 'http://:canary@a:1', XMPP_SERVICE: 'canary' }).join(),
    ).not.toMatch(/canary/);
  });

  it('cannot be changed once they are read', () => {
    expect(Object.isFrozen(loadConfig(SECRET))).toBe(true);
  });
});
