import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openRedis, ready, type RedisClient } from '../../lib/redis.js';
import { openKeys, type Keys } from '../../lib/store/keys.js';
import { freePort, startProcess, startRedis, type RedisServer } from '../../prosody/servers.js';
import { cpuOf } from './cpu.js';
import { startProgram, type Program } from './program.js';
import type { WebOrder, WebSeen } from './web.js';

const PARTITIONS = 16;
const READY_SECONDS = 20;

/** What all measurements of polling stand on: one private Redis, one web of feeds. */
export interface Ground {
  readonly dir: string;
  readonly redis: RedisServer;
  readonly web: Program<WebOrder, WebSeen>;
  readonly port: number;
  /** One of the sixteen databases of that Redis, empty at first. */
  database(number: number): Promise<Database>;
  /** A scheduler as it is built, over this Redis. */
  scheduler(url: string, env: Readonly<Record<string, string>>): Promise<Scheduler>;
  /** Ends what was started, whatever is left of it. */
  stop(): Promise<void>;
}

export interface Database {
  readonly url: string;
  readonly client: RedisClient;
  readonly keys: Keys;
}

export interface Scheduler {
  readonly pid: number;
  /** Looks that have ended since it started, by what came of them: committed, every one. */
  polls(): Promise<ReadonlyMap<string, number>>;
  stop(): Promise<void>;
}

export async function layGround(): Promise<Ground> {
  const dir = await mkdtemp(join(tmpdir(), 'hydrant-bench-'));
  const stops: (() => unknown)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().then(() => process.exit(1)));
  try {
    const redis = await startRedis({ dir: join(dir, 'redis') });
    stops.push(() => redis.stop());
    const { program: web, first: port } = await startProgram<WebOrder, WebSeen>('web.js');
    stops.push(() => web.stop());
    let schedulers = 0;

    return {
      ...{ dir, redis, web, port: Number(port), stop },
      async database(number) {
        const url = `redis://127.0.0.1:${redis.port}/${number}`;
        const client = openRedis([url], 'patient', () => undefined);
        stops.push(() => client.disconnect());
        await ready(client);
        return { url, client, keys: await openKeys(client, PARTITIONS) };
      },
      async scheduler(url, env) {
        const http = await freePort();
        const started = await startProcess('scheduler', {
          dir: join(dir, `scheduler-${++schedulers}`),
          env: {
            ...{ XMPP_SECRET: 'bench', REDIS_URL: url, HTTP_PORT: `${http}` },
            ...{ FETCH_ALLOW: '127.0.0.0/8', PARTITIONS: `${PARTITIONS}`, ...env },
          },
        });
        const end = () => started.stop();
        stops.push(end);
        await started.log.see((line) => line.includes('listening on http'), READY_SECONDS);
        return {
          pid: started.pid ?? 0,
          polls: () => pollsIn(`http://127.0.0.1:${http}/metrics`),
          async stop() {
            stops.splice(stops.indexOf(end), 1);
            await end();
          },
        };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function pollsIn(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(url)).text();
  const polls = new Map<string, number>();
  for (const [, labels = '', count] of text.matchAll(/^hydrant_polls_total\{([^}]*)\} (\d+)/gm)) {
    const outcome = /outcome="([^"]*)"/.exec(labels)?.[1] ?? '';
    polls.set(outcome, (polls.get(outcome) ?? 0) + Number(count));
  }
  return polls;
}

export const total = (polls: ReadonlyMap<string, number>): number => [...polls.values()].reduce((sum, n) => sum + n, 0);

/** Asks again and again. @throws Error when it is not so in time */
export async function until(what: string, seconds: number, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`Not within ${seconds} s: ${what}`);
    // Not more often: what is asked answers with work of its own.
    await sleep(200);
  }
}

/** What was done between two moments, and what it took of the processes: in seconds, CPU in seconds of CPU. */
export interface Span {
  readonly polls: ReadonlyMap<string, number>;
  readonly seconds: number;
  readonly main: number;
  readonly others: number;
  readonly redis: number;
  readonly web: number;
}

/** Begins a span; the result ends it. */
export async function beginSpan(ground: Ground, scheduler: Scheduler): Promise<() => Promise<Span>> {
  const look = async () => {
    const polls = await scheduler.polls();
    const [redis, web] = [ground.redis.pid ?? 0, ground.web.pid].map((pid) => cpuOf(pid)).map(both);
    return { at: performance.now(), polls, ours: cpuOf(scheduler.pid), redis: redis ?? NaN, web: web ?? NaN };
  };
  const before = await look();
  return async () => {
    const after = await look();
    const polls = [...after.polls].map(([outcome, n]) => [outcome, n - (before.polls.get(outcome) ?? 0)] as const);
    return {
      polls: new Map(polls),
      seconds: (after.at - before.at) / 1_000,
      main: after.ours.main - before.ours.main,
      others: after.ours.others - before.ours.others,
      redis: after.redis - before.redis,
      web: after.web - before.web,
    };
  };
}

export const both = ({ main, others }: { readonly main: number; readonly others: number }): number => main + others;
