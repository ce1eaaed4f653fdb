import { urlIn } from './domain.js';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

const count = z.coerce
  .number({ error: 'must be a number' })
  .int({ error: 'must be a whole number' })
  .positive({ error: 'must be above 0' });
const seconds = count;
/** A whole number between two others. */
const between = (least: number, most: number) => {
  const error = `must be a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};
const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean),
  );

/** 32 bytes, as base64 or in hexadecimal digits. */
const key = z
  .string()
  .regex(/^(?:[A-Za-z0-9+/]{43}=|[0-9A-Fa-f]{64})$/, {
    error: 'must be 32 bytes as base64 or in hexadecimal digits, as `openssl rand -base64 32` gives them',
  })
  .transform((text) => Buffer.from(text, text.length === 64 ? 'hex' : 'base64'));

const schema = z.object({
  XMPP_SERVICE: z
    .url({ protocol: /^xmpp$/, error: 'must look like xmpp://host:port' })
    .default('xmpp://127.0.0.1:5347'),
  XMPP_DOMAIN: z
    .string()
    .regex(/^[^\s@/]+$/, 'must be a domain')
    .default('feeds.localhost'),
  XMPP_SECRET: z.string({ error: 'is missing: the component secret of the XMPP server' }).min(1, 'must not be empty'),
  XMPP_ADMINS: list.refine((jids) => jids.every((jid) => /^[^\s@/]+@[^\s@/]+$/.test(jid)), 'must be bare JIDs'),
  REDIS_URL: z
    .string()
    .default('redis://127.0.0.1:6379/0')
    .transform((text) => text.split(',').map((part) => part.trim()))
    .refine((urls) => urls.every((url) => /^rediss?:$/.test(urlIn(url)?.protocol ?? '')), 'must be redis:// URLs'),
  HTTP_HOST: z.string().min(1).default('127.0.0.1'),
  HTTP_PORT: between(0, 65_535).default(8080),
  PUBLIC_URL: z
    .union([z.literal(''), z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' })])
    .default('')
    .transform((url) => url || undefined),
  POLL_MIN_SECONDS: seconds.default(60),
  POLL_MAX_SECONDS: seconds.default(900),
  FETCH_CONCURRENCY: count.default(100),
  FETCH_PER_HOST: count.default(2),
  FETCH_GAP_MS: between(0, 60_000).default(500),
  FETCH_TIMEOUT_SECONDS: seconds.default(20),
  FETCH_MAX_BYTES: count.default(10_485_760),
  FETCH_ALLOW: list.refine((cidrs) => cidrs.every((cidr) => ipaddr.isValidCIDR(cidr)), 'must be CIDRs'),
  PING_MIN_SECONDS: seconds.default(60),
  ITEMS_PER_NODE: between(1, 1_000).default(20),
  LOG_KEEP_HOURS: count.default(72),
  LOG_KEEP_ENTRIES: count.default(1_000_000),
  MAX_SUBSCRIPTIONS: count.default(1000),
  WHO_MAY_ADD: z.enum(['anyone', 'local', 'admins']).default('anyone'),
  CREDENTIALS_KEY: key.optional(),
  NODE_TYPE: z.string().max(1_024).default('urn:xmpp:pubsub-social-feed:1'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  PARTITIONS: between(1, 1_024).default(16),
  STANZA_MAX_BYTES: between(8_192, 262_144).default(61_440),
});

/** Every setting, checked. Lists are arrays; an absent PUBLIC_URL or CREDENTIALS_KEY is undefined. */
export type Config = Readonly<z.infer<typeof schema>>;

/** The names of all settings, in the order of .env.example. */
export const settings: readonly string[] = Object.keys(schema.shape);

/** The exit status for bad settings: EX_CONFIG of sysexits.h. */
export const EXIT_CONFIG = 78;

/** Thrown by loadConfig: the message names every problem, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads the environment once. An empty value counts as absent.
 * @throws ConfigError naming every problem at once, in words an operator can act on.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(settings.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
  const result = schema
    .refine((config) => !(config.POLL_MIN_SECONDS > config.POLL_MAX_SECONDS), {
      path: ['POLL_MIN_SECONDS'],
      message: 'must not be above POLL_MAX_SECONDS',
      when: () => true, // also when other settings are bad, so that all problems are named
    })
    .safeParse(given);
  if (result.success) return Object.freeze(result.data);
  const problems = result.error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`);
  throw new ConfigError(`These settings cannot be used:\n${problems.join('\n')}`);
}
