import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createInbox, type Inbox } from './inbox.js';

/** How a process ended: with a code or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process of ours that can be stopped, killed and started again as it was. It never outlives this process. */
export interface Server {
  readonly name: string;
  readonly pid: number | undefined;
  /** What it said since its last start, by lines. */
  readonly log: Inbox<string>;
  /** Resolves when the running process has ended, however it ended. */
  readonly exited: Promise<Exit>;
  /** Resolves when it is ready for its clients. */
  start(): Promise<void>;
  /** SIGSTOP, SIGCONT and the like: does not wait. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it the hard way and waits until it is gone. */
  kill(): Promise<Exit>;
  /** Ends it the polite way; after ten seconds the hard way. */
  stop(): Promise<Exit>;
}

interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where its output is kept as well. */
  readonly logFile: string | undefined;
  readonly ready: (log: Inbox<string>) => Promise<unknown>;
}

const READY_SECONDS = 20;
const STOP_SECONDS = 10;
const ATTEMPTS = 5;

/** Thrown when a server did not come up; says why in the server's own words. */
export class NotStarted extends Error {
  override readonly name = 'NotStarted';
}

function createProgram(program: Program): Server {
  const { name } = program;
  let child: ChildProcess | undefined;
  let log = createInbox<string>(name);
  let exited: Promise<Exit> = Promise.resolve({ code: null, signal: null });

  const kill = () => {
    child?.kill('SIGKILL');
    return exited;
  };

  return {
    name,
    get pid() {
      return child?.pid;
    },
    get log() {
      return log;
    },
    get exited() {
      return exited;
    },
    async start() {
      if (child) throw new Error(`${name} runs already`);
      const lines = (log = createInbox<string>(name));
      // A group of its own: Ctrl-C in the terminal reaches only the parent, which then stops everything in order.
      const started = spawn(program.command, program.args, {
        env: { ...inherited(), ...program.env },
        cwd: program.cwd,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      child = started;
      const file = program.logFile === undefined ? undefined : createWriteStream(program.logFile, { flags: 'a' });
      for (const input of [started.stdout, started.stderr]) {
        createInterface({ input }).on('line', (line) => {
          lines.push(line);
          file?.write(`${line}\n`);
        });
      }
      exited = new Promise((settle) => {
        const ended = (code: number | null, signal: NodeJS.Signals | null, why: string) => {
          if (child === started) child = undefined;
          if (started.pid !== undefined) keeper.release(started.pid);
          lines.close(why);
          file?.end();
          settle({ code, signal });
        };
        started.once('error', (error) => ended(null, null, `cannot be run: ${error.message}`));
        started.once('close', (code, signal) => ended(code, signal, `ended (${signal ?? `exit code ${code ?? '?'}`})`));
      });
      if (started.pid !== undefined) keeper.hold(started.pid);
      await program.ready(lines).catch(async (error: unknown) => {
        await kill();
        const said = lines.pending.slice(-15).map((line) => `\n  ${line}`);
        throw new NotStarted(`${error instanceof Error ? error.message : String(error)}${said.join('')}`);
      });
    },
    signal(signal) {
      child?.kill(signal);
    },
    kill,
    stop() {
      const stopping = child;
      if (!stopping) return exited;
      const deadline = setTimeout(() => stopping.kill('SIGKILL'), STOP_SECONDS * 1000);
      stopping.kill('SIGTERM');
      stopping.kill('SIGCONT');
      return exited.finally(() => {
        clearTimeout(deadline);
      });
    },
  };
}

/** Children get nothing of our environment but this: settings of the operator must not leak into private servers. */
function inherited(): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env;
  return { PATH, HOME, TMPDIR };
}

/**
 * Kills our children when this process is gone, even by kill -9: a shell that knows their ids and reads from a pipe
 * which only we hold open.
 */
const keeper = (() => {
  const SCRIPT = `
    while read -r verb pid; do
      case $verb in
        hold) held="$held $pid" ;;
        release) rest=; for p in $held; do [ "$p" = "$pid" ] || rest="$rest $p"; done; held=$rest ;;
      esac
    done
    for p in $held; do kill -s KILL -- "-$p"; done`;
  const held = new Set<number>();
  let pipe: ChildProcess['stdin'] = null;

  return {
    hold(pid: number) {
      if (held.size === 0) {
        const shell = spawn('sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
        shell.unref();
        pipe = shell.stdin;
        if (pipe instanceof Socket) pipe.unref();
      }
      held.add(pid);
      pipe?.write(`hold ${pid}\n`);
    },
    release(pid: number) {
      if (!held.delete(pid)) return;
      pipe?.write(`release ${pid}\n`);
      if (held.size === 0) pipe?.end();
    },
  };
})();

/**
 * A loopback port that nobody listens on. Below the range the system gives to outgoing connections: a client that
 * keeps calling a port inside that range while its server is down can end up connected to itself.
 */
export async function freePort(preferred?: number): Promise<number> {
  for (let port = preferred ?? randomInt(20_000, 32_000); ; port = randomInt(20_000, 32_000)) {
    const probe = createServer().listen(port, '127.0.0.1');
    const free = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    if (!free) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

/** Between choosing a port and listening on it another process may take it; then other ports are tried. */
async function retried<T>(fixed: boolean, attempt: () => Promise<T>): Promise<T> {
  for (let left = fixed ? 0 : ATTEMPTS - 1; ; left -= 1) {
    try {
      return await attempt();
    } catch (error) {
      const taken = error instanceof NotStarted && /in use|open server port/.test(error.message);
      if (!taken || left === 0) throw error;
    }
  }
}

/** A private Redis. */
export interface RedisServer extends Server {
  readonly port: number;
  readonly url: string;
}

/** Starts a Redis on loopback that keeps what it was told (AOF) and evicts nothing; its data live in `dir`. */
export function startRedis(options: {
  readonly dir: string;
  readonly port?: number;
  readonly logFile?: string;
}): Promise<RedisServer> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  return retried(options.port !== undefined, async () => {
    const port = options.port ?? (await freePort());
    const settings = {
      port: `${port}`,
      bind: '127.0.0.1',
      dir,
      appendonly: 'yes',
      // With "everysec" a Redis that is killed while the disk is busy takes up to two seconds of answers with it.
      appendfsync: 'always',
      'maxmemory-policy': 'noeviction',
      // What is known of an idle feed is a few short texts: kept as lists they take two fifths less memory.
      'hash-max-listpack-value': '1024',
      'hash-max-listpack-entries': '512',
      'zset-max-listpack-value': '1024',
      save: '',
      daemonize: 'no',
    };
    const server = createProgram({
      name: 'Redis',
      command: 'redis-server',
      args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      env: {},
      cwd: dir,
      logFile: options.logFile,
      ready: (log) => log.see((line) => line.includes('Ready to accept connections'), READY_SECONDS),
    });
    await server.start();
    return Object.assign(server, { port, url: `redis://127.0.0.1:${port}/0` });
  });
}

/** A private Prosody. */
export interface ProsodyServer extends Server {
  /** Where Jabber clients connect; the domain is localhost. */
  readonly c2s: string;
  readonly c2sPort: number;
  /** Where components connect. */
  readonly service: string;
  readonly componentPort: number;
  readonly domain: string;
  readonly secret: string;
  /** The secret of tester.localhost, the second component that plays users in tests. */
  readonly testerSecret: string | undefined;
  /** Creates the account `name`@localhost, or gives it this password. */
  register(name: string, password: string): Promise<void>;
  /** Resolves when a component has taken this address; asked again, waits for the next time. */
  attached(domain: string, seconds?: number): Promise<void>;
}

/** Starts a Prosody on loopback with the configuration beside this file; its data live in `dir`. */
export function startProsody(options: {
  readonly dir: string;
  readonly c2sPort?: number;
  readonly componentPort?: number;
  readonly domain?: string;
  readonly secret?: string;
  readonly tester?: boolean;
  /** Lines of Lua that follow the configuration: more components, say. */
  readonly more?: string;
  readonly logFile?: string;
}): Promise<ProsodyServer> {
  const dir = resolve(options.dir);
  mkdirSync(dir, { recursive: true });
  const shipped = resolve('prosody/prosody.cfg.lua');
  const config = options.more === undefined ? shipped : join(dir, 'prosody.cfg.lua');
  if (options.more !== undefined) writeFileSync(config, `Include ${JSON.stringify(shipped)}\n${options.more}\n`);
  const { domain = 'feeds.localhost', secret = randomBytes(16).toString('hex') } = options;
  const testerSecret = options.tester ? randomBytes(16).toString('hex') : undefined;

  return retried(options.c2sPort !== undefined && options.componentPort !== undefined, async () => {
    const c2sPort = options.c2sPort ?? (await freePort());
    const componentPort = options.componentPort ?? (await freePort());
    const env = {
      HYDRANT_PROSODY_HOME: dir,
      HYDRANT_C2S_PORT: `${c2sPort}`,
      HYDRANT_COMPONENT_PORT: `${componentPort}`,
      XMPP_DOMAIN: domain,
      XMPP_SECRET: secret,
      ...(testerSecret !== undefined && { HYDRANT_TESTER_SECRET: testerSecret }),
    };
    const server = createProgram({
      name: 'Prosody',
      command: 'prosody',
      args: ['--config', config, '-F'],
      env,
      cwd: dir,
      logFile: options.logFile,
      async ready(log) {
        for (const [service, port] of Object.entries({ component: componentPort, c2s: c2sPort })) {
          const line = await log.see((text) => text.includes(`Activated service '${service}' on `), READY_SECONDS);
          // Prosody goes on without a port that it could not have.
          if (!line.includes(`:${port}`)) throw new Error(`Prosody cannot open server port ${port}`);
        }
      },
    });
    await server.start();
    return Object.assign(server, {
      c2s: `xmpp://127.0.0.1:${c2sPort}`,
      c2sPort,
      service: `xmpp://127.0.0.1:${componentPort}`,
      componentPort,
      domain,
      secret,
      testerSecret,
      async register(name: string, password: string) {
        await promisify(execFile)('prosodyctl', ['--config', config, 'register', name, 'localhost', password], {
          env: { ...inherited(), ...env },
          cwd: dir,
        });
      },
      async attached(name: string, seconds = READY_SECONDS) {
        const line = `${name}:component`;
        const match = (text: string) => text.startsWith(line) && text.includes('successfully authenticated');
        await server.log.take(match, seconds);
      },
    });
  });
}

/** Much is read and soon forgotten: where there is room for more of it, V8 cleans up less often. */
export const NODE_FLAGS: readonly string[] = ['--enable-source-maps', '--max-semi-space-size=32'];

/**
 * Starts one of Hydrant's own processes, as built in dist/. It does not wait until the process is ready: see
 * `healthy`. Its directory is not the project's, so that a .env lying there says nothing to it.
 */
export async function startProcess(
  name: 'component' | 'scheduler',
  options: { readonly dir: string; readonly env: Readonly<Record<string, string>>; readonly logFile?: string },
): Promise<Server> {
  mkdirSync(options.dir, { recursive: true });
  const server = createProgram({
    name,
    command: process.execPath,
    args: [...NODE_FLAGS, resolve('dist', name, 'main.js')],
    env: options.env,
    cwd: resolve(options.dir),
    logFile: options.logFile,
    ready: () => Promise.resolve(),
  });
  await server.start();
  return server;
}

/** Resolves when the intake at `url` says that component, Redis and queues are up; rejects when a process ended. */
export async function healthy(url: string, processes: readonly Server[], seconds = 30): Promise<void> {
  const deadline = AbortSignal.timeout(seconds * 1000);
  const ended = Promise.race(
    processes.map(async ({ name, exited, log }) => {
      const { code, signal } = await exited;
      const said = log.pending.slice(-10).map((line) => `\n  ${line}`);
      throw new NotStarted(`${name} ended (${signal ?? `exit code ${code ?? '?'}`})${said.join('')}`);
    }),
  );
  let answer = 'nothing answered';
  const ask = async (): Promise<boolean> => {
    const response = await fetch(new URL('/health', url), { signal: deadline });
    answer = `${response.status} ${await response.text()}`;
    return response.status === 200;
  };
  while (!deadline.aborted) {
    if (await Promise.race([ask().catch(() => false), ended])) return;
    // An HTTP server that is not there yet cannot be listened to: ask again.
    await Promise.race([sleep(50), ended]);
  }
  throw new NotStarted(`not healthy after ${seconds} s, last answer: ${answer}`);
}
