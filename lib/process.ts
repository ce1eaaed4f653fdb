import { readFileSync } from 'node:fs';
import { ConfigError, EXIT_CONFIG, loadConfig, type Config } from './config.js';
import { createEvents, type Emit, type On } from './events.js';
import { logEvents } from './log.js';
import { watchEvents } from './metrics.js';
import { durabilityProblems, openRedis, ready, type RedisClient, type Temper } from './redis.js';
import { createShutdown, type Stop } from './shutdown.js';
import { openKeys, LayoutMismatch, type Keys } from './store/keys.js';

/** What both processes begin with. */
export interface Foundation {
  readonly config: Config;
  /** Of Hydrant. */
  readonly version: string;
  readonly emit: Emit;
  readonly on: On;
  readonly metrics: ReturnType<typeof watchEvents>;
  readonly keys: Keys;
  /** A `prompt` connection for everybody. */
  readonly redis: RedisClient;
  /** Another connection, closed with the rest. */
  readonly connect: (temper: Temper) => RedisClient;
  /** Registers what to stop; the last one registered is stopped first. */
  readonly later: (name: string, stop: Stop) => void;
}

const SHUTDOWN_MS = 9_000;
const LINGER_MS = 500;

// As built, this file is two folders below the package.
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/**
 * The life of a process: settings, log, Redis, then `start`; and at SIGTERM or SIGINT everything in reverse.
 * Exits with 78 for settings that cannot be used, 0 after a signal, 1 for a mistake of ours.
 */
export async function runProcess(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
  start: (foundation: Foundation) => Promise<void> | void,
): Promise<void> {
  const { emit, on } = createEvents();
  const { later, stop } = createShutdown(SHUTDOWN_MS, (step, error) => {
    emit('warning', { text: `stopping ${step}: ${String(error)}` });
  });
  const exit = (status: number) =>
    void stop().then(() => {
      process.exitCode = status;
      // What is left may end by itself: a process that exits while a worker thread is ending is aborted.
      setTimeout(() => process.exit(status), LINGER_MS).unref();
    });

  try {
    const config = loadConfig(env);
    logEvents(on, name, config.LOG_LEVEL);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      // Not once: under npm one Ctrl-C arrives twice, and the second one must not cut short what the first one began.
      process.on(signal, () => {
        emit('notice', { text: `${signal}: finishing what is in hand` });
        exit(0);
      });
    }
    for (const failure of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(failure, (error: unknown) => {
        emit('bug', { where: failure, error });
        exit(1);
      });
    }

    const connect = (temper: Temper): RedisClient => {
      const client = openRedis(config.REDIS_URL, temper, (error) => {
        emit('redisTrouble', { error });
      });
      later('redis', () => client.disconnect());
      return client;
    };
    const redis = connect('prompt');
    await ready(redis);
    const keys = await openKeys(redis, config.PARTITIONS);
    for (const text of await durabilityProblems(redis)) emit('warning', { text });
    await start({ config, version, emit, on, metrics: watchEvents(on), keys, redis, connect, later });
  } catch (error) {
    if (error instanceof ConfigError || error instanceof LayoutMismatch) {
      process.stderr.write(`${error.message}\n`);
      exit(EXIT_CONFIG);
    } else {
      emit('bug', { where: 'start', error });
      exit(1);
    }
  }
}
