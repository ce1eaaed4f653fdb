import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ping, startFeedServer, type FeedServer } from '../../prosody/feed-server.js';
import { startReader, type Reader } from '../../prosody/reader.js';
import {
  freePort,
  healthy,
  startProcess,
  startProsody,
  startRedis,
  type ProsodyServer,
  type RedisServer,
  type Server,
} from '../../prosody/servers.js';
import { startTester, type Tester } from './tester.js';

/** All of Hydrant for one suite: real servers, real processes, throwaway data. */
export interface Rig {
  readonly dir: string;
  /** Our JID. */
  readonly service: string;
  /** Where the scheduler listens: http://127.0.0.1:port. */
  readonly intake: string;
  readonly redis: RedisServer;
  readonly prosody: ProsodyServer;
  readonly component: Server;
  readonly scheduler: Server;
  readonly feeds: FeedServer;
  /** Followers without accounts: rig.tester.as('romeo'). */
  readonly tester: Tester;
  /** A Jabber client with an account of its own: `name`@localhost. */
  client(name: string): Promise<Reader>;
  /** Tells the scheduler that this URL has changed; gives the HTTP status. */
  ping(url: string): Promise<number>;
  /** Resolves when component, Redis and queues are up; a killed component is missed only after some seconds. */
  healthy(): Promise<void>;
  stop(): Promise<void>;
}

/** Polls every second, reads loopback; tester's admin@ is an administrator. */
const SETTINGS = {
  POLL_MIN_SECONDS: '1',
  POLL_MAX_SECONDS: '1',
  PING_MIN_SECONDS: '1',
  FETCH_ALLOW: '127.0.0.0/8',
  // All feeds are on one host, and nobody wants to wait for their turn.
  ...{ FETCH_GAP_MS: '0', FETCH_PER_HOST: '100' },
  XMPP_ADMINS: 'admin@tester.localhost,admin@localhost',
};

/**
 * Starts everything and waits until it is healthy. `settings` are Hydrant's, and win over the rig's; `more` are lines of
 * Lua that follow Prosody's configuration.
 */
export async function startRig(settings: Readonly<Record<string, string>> = {}, more?: string): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'hydrant-rig-'));
  await mkdir(join(dir, 'logs'));
  const logFile = (name: string) => join(dir, 'logs', `${name}.log`);
  const stops: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async () => {
    // One that fails must not keep the others from stopping.
    const failures: unknown[] = [];
    for (const each of stops.splice(0).reverse()) await each().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw new AggregateError(failures, 'not everything stopped');
  };
  const keep = <T extends { stop(): Promise<unknown> }>(thing: T): T => {
    stops.push(() => thing.stop());
    return thing;
  };

  try {
    const [redis, prosody, feeds, port] = await Promise.all([
      startRedis({ dir: join(dir, 'redis'), logFile: logFile('redis') }).then(keep),
      startProsody({
        ...{ dir: join(dir, 'prosody'), tester: true, logFile: logFile('prosody') },
        ...(more !== undefined && { more }),
      }).then(keep),
      startFeedServer().then(keep),
      freePort(),
    ]);
    const intake = `http://127.0.0.1:${port}`;
    const env = {
      XMPP_SERVICE: prosody.service,
      XMPP_DOMAIN: prosody.domain,
      XMPP_SECRET: prosody.secret,
      REDIS_URL: redis.url,
      HTTP_PORT: `${port}`,
      ...SETTINGS,
      ...settings,
    };
    const run = async (name: 'component' | 'scheduler') =>
      keep(await startProcess(name, { dir: join(dir, name), env, logFile: logFile(name) }));
    const [scheduler, component] = await Promise.all([run('scheduler'), run('component')]);
    await healthy(intake, [scheduler, component]);
    await prosody.attached(prosody.domain);
    const tester = keep(await startTester(prosody.service, prosody.testerSecret!, prosody.domain));

    return {
      dir,
      service: prosody.domain,
      intake,
      redis,
      prosody,
      component,
      scheduler,
      feeds,
      tester,
      async client(name) {
        const password = `${name}'s`;
        await prosody.register(name, password);
        return keep(await startReader({ server: prosody.c2s, name, password, service: prosody.domain }));
      },
      ping: (url) => ping(intake, url),
      healthy: () => healthy(intake, [scheduler, component]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
