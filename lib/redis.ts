import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { Fault } from './faults.js';

/** One Redis or a Redis Cluster: everything above this file treats them alike. */
export type RedisClient = Redis | Cluster;

/**
 * How a connection behaves while Redis is away. `prompt`: commands fail within two seconds, so that whoever asked hears
 * of it. `patient`: commands wait for Redis to come back; for workers and subscriptions, which have nobody to answer.
 */
export type Temper = 'prompt' | 'patient';

const PROMPT: RedisOptions = { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: 1_500 };
const PATIENT: RedisOptions = { maxRetriesPerRequest: null };

/**
 * Opens a connection that reconnects by itself, at most 2 s apart, and reports trouble through `onError`.
 * @param urls one redis:// URL, or several nodes of a Redis Cluster
 */
export function openRedis(urls: readonly string[], temper: Temper, onError: (error: Error) => void): RedisClient {
  const options: RedisOptions = {
    ...(temper === 'prompt' ? PROMPT : PATIENT),
    connectTimeout: 2_000,
    keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(100 * attempt, 2_000),
  };
  const [first = '', ...others] = urls;
  const client =
    others.length === 0
      ? new Redis(first, options)
      : new Cluster([...urls], {
          redisOptions: options,
          enableOfflineQueue: temper === 'patient',
          clusterRetryStrategy: (attempt) => Math.min(100 * attempt, 2_000),
        });
  client.on('error', onError);
  return client;
}

/** Resolves when the connection can take commands. */
export function ready(client: RedisClient): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  return new Promise((resolve) => client.once('ready', () => resolve()));
}

// What ioredis and the network say when Redis, or one node of a Cluster, cannot be reached.
const AWAY =
  /Connection is closed|Stream isn't writeable|Command timed out|ECONNRE|EPIPE|ETIMEDOUT|Failed to refresh slots|Cluster isn't ready|Too many Cluster redirections|startup nodes is available/;

/**
 * Tells Redis being away (or full, or still loading) from a mistake of ours.
 * @returns the Fault to answer with, or nothing when the error has another cause
 */
export function redisAway(error: unknown): Fault | undefined {
  if (!(error instanceof Error)) return undefined;
  const away =
    /^(MaxRetriesPerRequestError|ClusterAllFailedError)$/.test(error.name) ||
    /^(LOADING|OOM|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MISCONF|BUSY) /.test(error.message) ||
    AWAY.test(`${error.message} ${(error as NodeJS.ErrnoException).code ?? ''}`);
  return away ? new Fault('unavailable', 'The store is away for a moment; try again', { cause: error }) : undefined;
}

/** What an operator must know about how this Redis keeps data: a sentence per problem, none when all is well. */
export async function durabilityProblems(client: RedisClient): Promise<string[]> {
  const nodes = client instanceof Cluster ? client.nodes('master') : [client];
  const answers = await Promise.all(
    nodes.map(async (node) => [await node.info('persistence'), await node.info('memory')]),
  );
  const problems = new Set<string>();
  for (const info of answers.map((parts) => parts.join('\n'))) {
    if (!/^aof_enabled:1/m.test(info)) {
      problems.add('Redis has "appendonly no": what was acknowledged is lost when it stops. Set "appendonly yes".');
    }
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
    if (policy && policy !== 'noeviction') {
      problems.add(`Redis has "maxmemory-policy ${policy}": it may evict feeds and subscriptions. Set "noeviction".`);
    }
  }
  return [...problems];
}
