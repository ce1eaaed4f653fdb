/** `npm run up`: everything Hydrant needs, private to this folder, and the first entries on the screen. */
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { ping, startFeedServer } from './feed-server.js';
import { NothingCame } from './inbox.js';
import { startReader, type Item, type Reader } from './reader.js';
import { freePort, healthy, startProcess, startProsody, startRedis, type Server } from './servers.js';

const HOME = '.hydrant';
const DOMAIN = 'feeds.localhost';
const ONCE_SECONDS = 60;
const ATOM_SECONDS = 5;
const RSS_SECONDS = 12;
const USAGE = `npm run up [-- [--once] [URL...]]

  URL...    feeds to follow instead of the two that come with Hydrant
  --once    end with success after the first new entry, without it after ${ONCE_SECONDS} seconds`;

/** What must be the same at the next start. */
interface State {
  readonly ports: Readonly<Record<'redis' | 'c2s' | 'component' | 'http' | 'feeds', number>>;
  readonly secret: string;
  readonly passwords: Readonly<Record<'admin' | 'reader', string>>;
}

/** What the person at the keyboard can mend: the message says it all, no log does. */
class Sorry extends Error {}

/** What is stopped at the end, last one first. */
const stops: { readonly name: string; readonly stop: () => unknown }[] = [];
const servers: Server[] = [];
const died = new EventEmitter<{ died: [name: string] }>();

function say(text = ''): void {
  process.stdout.write(`${text}\n`);
}

/** One line per step: what is done, and how long it took. */
async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const live = process.stdout.isTTY;
  const started = Date.now();
  if (live) process.stdout.write(`  …          ${title}`);
  try {
    const result = await work();
    const seconds = ((Date.now() - started) / 1000).toFixed(1).padStart(5);
    say(`${live ? '\r\x1b[K' : ''}  ✓ ${seconds} s  ${title}`);
    return result;
  } catch (error) {
    say(`${live ? '\r\x1b[K' : ''}  ✗          ${title}`);
    throw error;
  }
}

/** The lock is a socket: unlike a file with a process id in it, it cannot be left behind by a crash. */
async function lock(): Promise<void> {
  const path = `${HOME}/up.sock`;
  const other = connect(path);
  const held = await once(other, 'connect').then(
    () => true,
    () => false,
  );
  other.destroy();
  if (held) throw new Sorry('Another `npm run up` is running in this folder. Stop it first, with Ctrl-C.');
  rmSync(path, { force: true });
  const server = createServer((socket) => socket.destroy()).listen(path);
  await once(server, 'listening');
  server.unref();
}

async function loadState(): Promise<State> {
  const path = `${HOME}/up.json`;
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as State;
  const password = () => randomBytes(9).toString('base64url');
  const state: State = {
    ports: {
      redis: await freePort(16379),
      c2s: await freePort(15222),
      component: await freePort(15347),
      http: await freePort(18080),
      feeds: await freePort(18081),
    },
    secret: randomBytes(24).toString('base64url'),
    passwords: { admin: password(), reader: password() },
  };
  writeFileSync(path, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  return state;
}

/** Two feeds that never rest: one pings, the other has to be polled. */
async function startDemo(port: number, intake: string): Promise<readonly string[]> {
  const feeds = await startFeedServer(port);
  stops.push({ name: 'feed server', stop: () => feeds.stop() });
  const atom = feeds.feed('/every-5-seconds.atom', { format: 'atom', title: 'Every five seconds, with a ping' });
  const rss = feeds.feed('/every-12-seconds.rss', { format: 'rss', title: 'Every twelve seconds, only polled' });
  for (const feed of [atom, rss]) feed.publish({ title: 'There before you came' });
  const announce = () => {
    atom.publish();
    // Nobody listens yet, or no longer: then it is found by polling.
    ping(intake, atom.url).catch(() => undefined);
  };
  const timers = [setInterval(announce, ATOM_SECONDS * 1000), setInterval(() => rss.publish(), RSS_SECONDS * 1000)];
  stops.push({
    name: 'demo',
    stop: () => {
      timers.forEach(clearInterval);
    },
  });
  return [atom.url, rss.url];
}

async function startAll(state: State, given: readonly string[]): Promise<{ urls: readonly string[]; reader: Reader }> {
  const { ports, passwords, secret } = state;
  const intake = `http://127.0.0.1:${ports.http}`;
  const logFile = (name: string) => `${process.cwd()}/${HOME}/logs/${name}.log`;
  const keep = <T extends Server>(server: T): T => {
    servers.push(server);
    stops.push({ name: server.name, stop: () => server.stop() });
    void server.exited.then(() => died.emit('died', server.name));
    return server;
  };

  const redis = await step(`Redis on 127.0.0.1:${ports.redis}`, async () =>
    keep(await startRedis({ dir: `${HOME}/redis`, port: ports.redis, logFile: logFile('redis') })),
  );
  const prosody = await step(`Prosody, a Jabber server, on 127.0.0.1:${ports.c2s}`, async () => {
    const options = { domain: DOMAIN, secret, logFile: logFile('prosody') };
    const ours = { dir: `${HOME}/prosody`, c2sPort: ports.c2s, componentPort: ports.component };
    return keep(await startProsody({ ...options, ...ours }));
  });
  await step('accounts admin@localhost and reader@localhost', () =>
    Promise.all(Object.entries(passwords).map(([name, password]) => prosody.register(name, password))),
  );
  const demo = given.length === 0;
  const urls = demo
    ? await step(`two feeds to try, on 127.0.0.1:${ports.feeds}`, () => startDemo(ports.feeds, intake))
    : given;

  const { LOG_LEVEL = 'info', FETCH_ALLOW = '' } = process.env;
  const env = {
    XMPP_SERVICE: prosody.service,
    XMPP_DOMAIN: DOMAIN,
    XMPP_SECRET: secret,
    XMPP_ADMINS: 'admin@localhost',
    REDIS_URL: redis.url,
    HTTP_PORT: `${ports.http}`,
    LOG_LEVEL,
    // Feeds of strangers are asked as seldom as the defaults say; our own may be asked all the time.
    ...(demo
      ? { FETCH_ALLOW: '127.0.0.0/8', POLL_MIN_SECONDS: '2', POLL_MAX_SECONDS: '10', PING_MIN_SECONDS: '1' }
      : { FETCH_ALLOW }),
  };
  await step(`Hydrant: scheduler on ${intake}, component as ${DOMAIN}`, async () => {
    const processes = [];
    for (const name of ['scheduler', 'component'] as const) {
      processes.push(keep(await startProcess(name, { dir: `${HOME}/${name}`, env, logFile: logFile(name) })));
    }
    // After a crash the health of the last run is remembered for some seconds; Prosody knows better.
    await prosody.attached(DOMAIN);
    await healthy(intake, processes);
  });
  const reader = await step('reader@localhost logs in', () =>
    startReader({ server: prosody.c2s, name: 'reader', password: passwords.reader, service: DOMAIN }),
  );
  stops.push({ name: 'reader', stop: () => reader.stop() });
  return { urls, reader };
}

/** Follows the feeds; gives the ids of the items that were there already. */
async function follow(reader: Reader, urls: readonly string[]): Promise<ReadonlySet<string>> {
  const known = new Set<string>();
  const refused: string[] = [];
  for (const url of urls) {
    await step(`reader@localhost subscribes to ${url}`, async () => {
      await reader.subscribe(url);
      for (const { id } of await reader.items(url)) known.add(id);
    }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      say(`               ${why}`);
      refused.push(url);
    });
  }
  if (refused.length === urls.length) throw new Sorry('There is nothing to follow.');
  return known;
}

function explain({ ports, passwords }: State, url: string): void {
  say(`
Hydrant is running.

  service         ${DOMAIN}
  Jabber server   127.0.0.1, port ${ports.c2s}, domain localhost (not encrypted: this machine only)
  administrator   admin@localhost    password ${passwords.admin}
  reader          reader@localhost   password ${passwords.reader}

Three things to try next:

  1. Follow a feed of your own: stop this with Ctrl-C, then
         npm run up -- https://example.org/feed.xml
  2. Log in with a Jabber client such as Gajim: account reader@localhost with the password above, server 127.0.0.1,
     port ${ports.c2s}, no encryption. Find ${DOMAIN} among the services of localhost.
  3. Tell Hydrant that a feed has changed, as publishers do, and see how it is:
         curl -d url=${url} http://127.0.0.1:${ports.http}/ping
         curl http://127.0.0.1:${ports.http}/health
`);
}

function show({ node, title, link }: Item): void {
  const time = new Date().toTimeString().slice(0, 8);
  const lines = [node, title ?? '(no title)', link ?? '(no link)'].join(`\n${' '.repeat(12)}`);
  say(`  ${time}  ${lines}\n`);
}

/** What the newest lines of the logs are, for the person who has to find out why. */
function tails(): string {
  const tail = ({ name, log }: Server) => [`\n${name} said last:`, ...log.pending.slice(-8).map((line) => `  ${line}`)];
  return servers
    .filter(({ name }) => name !== 'Redis')
    .flatMap(tail)
    .join('\n');
}

async function run(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { once: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    say(USAGE);
    return;
  }
  for (const url of positionals) {
    if (!isHttp(url)) {
      throw new Sorry(`${url} is not the address of a feed: it must start with http:// or https://`);
    }
  }

  mkdirSync(`${HOME}/logs`, { recursive: true });
  await lock();
  const state = await loadState();
  say('Hydrant: feeds for Jabber, private to this folder\n');
  const { urls, reader } = await startAll(state, positionals);
  const known = await follow(reader, urls);
  const since = Date.now();
  explain(state, urls[0] ?? '');
  say('New entries, as reader@localhost receives them. Ctrl-C stops everything.\n');

  const news = ({ id, published }: Item) => !known.has(id) && !(published && Date.parse(published) < since);
  const deadline = since + ONCE_SECONDS * 1000;
  for (;;) {
    const left = values.once ? Math.max(0, deadline - Date.now()) / 1000 : undefined;
    const item = await reader.arrivals.take(undefined, left);
    show(item);
    if (values.once && news(item)) {
      say(`  ✓ delivered ${((Date.now() - since) / 1000).toFixed(1)} s after the subscription`);
      return;
    }
  }
}

const interrupted = new Promise<'stop'>((resolve) => {
  let first: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      first ??= Date.now();
      resolve('stop');
      // The second time at once: what still runs is killed along with this process. But one Ctrl-C arrives twice, from
      // the terminal and from npm.
      if (Date.now() - first > 1000) process.exit(130);
    });
  }
});

// Whoever dies unasked takes the whole thing down, with a word about it.
const orphaned = once(died, 'died').then(([name]) => {
  throw new Error(`${String(name)} has ended by itself.`);
});

try {
  const ended = await Promise.race([run(), orphaned, interrupted]);
  if (ended === 'stop') say('\n\nStopping, in order. Once more Ctrl-C to kill.');
} catch (error) {
  process.exitCode = 1;
  const late = error instanceof NothingCame;
  const text = late
    ? `No new entry came within ${ONCE_SECONDS} seconds.`
    : String(error instanceof Error ? error.message : error);
  process.stderr.write(
    `\n${text}\n${servers.length > 0 && !(error instanceof Sorry) ? `${tails()}\n\nAll of it is in ${HOME}/logs/.\n` : ''}`,
  );
}

for (const { name, stop } of stops.reverse()) {
  await Promise.resolve(stop()).catch((error: unknown) => {
    process.exitCode = 1;
    process.stderr.write(`${name} could not be stopped: ${String(error)}\n`);
  });
}
if (stops.length > 0) say('  ✓ everything has stopped; the data stay in .hydrant/');
process.exit();

function isHttp(text: string): boolean {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}
