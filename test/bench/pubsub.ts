import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEvents } from '../../component/event.js';
import { escapeAttribute, NS } from '../../component/stanza.js';
import { feedIdOf, itemIdOf, nodeIdOf, parseFeedUrl, type Entry, type FeedUrl, type Source } from '../../lib/domain.js';
import { openRedis, ready } from '../../lib/redis.js';
import { redisFeeds, type FeedStore } from '../../lib/store/feeds.js';
import { openKeys } from '../../lib/store/keys.js';
import { redisSubscriptions, type SubscriptionStore } from '../../lib/store/subscriptions.js';
import { startProcess, startProsody, startRedis, type RedisServer, type Server } from '../../prosody/servers.js';
import { askingComponent, type AskingComponent, type Question } from './asking-component.js';
import type { Table } from './main.js';

/** Subscriptions on the service. */
const SIZES = [1, 1_000, 100_000] as const;
/** Subscriptions that one person holds. */
const PER_PERSON = 20;
const ON_ONE_NODE = 2_000;
const FEEDS = 1_000;
/** Nodes that mod_pubsub has as well, as many as Hydrant shows on a page; the last one is the one that many follow. */
const NODES = 100;
const ITEMS = 20;
/** Nodes whose items are asked for. */
const READ_NODES = 20;
const WINDOW = 20;
const BATCH = 200;
const ROUNDS = 7;
const MEASURE_MS = 400;
const PARTITIONS = 16;
const DEADLINE_MS = 230_000;
const TESTER = 'tester.localhost';
const OWNER = `owner@${TESTER}`;
const MOD_PUBSUB = 'pubsub.localhost';

const URLS = Array.from({ length: FEEDS }, (_, n) => parseFeedUrl(`https://feed-${n}.example/atom.xml`));
const POPULAR = URLS[NODES - 1] as FeedUrl;
const USUAL = URLS.slice(0, NODES - 1);

const VERBS = ['subscribe', 'unsubscribe', 'items', 'disco#info', 'disco#items'] as const;
type Verb = (typeof VERBS)[number];

/** Rates by name, a number per round. */
type Rates = Record<Verb | 'subscribe, popular' | 'unsubscribe, popular', number[]>;

/**
 * Requests per second through one Prosody: those of Hydrant with few and with many subscriptions, each a component of
 * its own, beside those of Prosody's own mod_pubsub with the same nodes and items; in turns in one run.
 *
 * A second component asks, without parsing what it gets: next to a Jabber client it costs little, and on few cores what
 * the client costs is missing on the other side of the server. It also has as many addresses as there are subscribers.
 *
 * mod_pubsub is as it comes: it sends a new subscriber nothing, where Hydrant sends the latest item, and what it has
 * written need not have reached the disk. Its nodes have few subscribers, which is where it is fastest, but for one.
 */
export async function pubsub(): Promise<Table> {
  const dir = await mkdtemp(join(tmpdir(), 'hydrant-bench-'));
  const stops: (() => unknown)[] = [() => rm(dir, { recursive: true, force: true })];
  try {
    const secret = randomBytes(16).toString('hex');
    const [redis, prosody] = await Promise.all([
      startRedis({ dir: join(dir, 'redis') }),
      startProsody({ dir: join(dir, 'prosody'), tester: true, secret, more: components() }),
    ]);
    stops.push(
      () => redis.stop(),
      () => prosody.stop(),
    );
    const tester = await askingComponent(prosody.componentPort, TESTER, prosody.testerSecret ?? '');
    const overdue = setTimeout(() => tester.close(), DEADLINE_MS);
    stops.push(() => {
      clearTimeout(overdue);
      tester.close();
    });

    for (const [database, size] of SIZES.entries()) await fillHydrant(redis, database, size);
    await fillModPubsub(tester);
    for (const [database, size] of SIZES.entries()) {
      const env = {
        XMPP_SERVICE: prosody.service,
        XMPP_DOMAIN: addressOf(size),
        XMPP_SECRET: secret,
        REDIS_URL: urlOf(redis, database),
        MAX_SUBSCRIPTIONS: '1000000',
      };
      const component: Server = await startProcess('component', { dir: join(dir, `component-${size}`), env });
      stops.push(() => component.stop());
      await component.log.see((line) => line.includes('"streamUp"'), 20);
    }

    const services = [...SIZES.map(addressOf), MOD_PUBSUB];
    const bytes = await sameAnswers(tester, services);
    await round(tester, services, emptyRates(services));
    const rates = emptyRates(services);
    for (let i = 0; i < ROUNDS; i++) {
      // Nobody is always the first.
      await round(tester, [...services.slice(i % services.length), ...services.slice(0, i % services.length)], rates);
    }
    return table(rates, bytes);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

const addressOf = (size: number): string => `feeds-${size}.localhost`;
const urlOf = ({ port }: RedisServer, database: number): string => `redis://127.0.0.1:${port}/${database}`;

const components = (): string =>
  [
    ...SIZES.map((size) => `Component "${addressOf(size)}"\ncomponent_secret = ENV_XMPP_SECRET`),
    `Component "${MOD_PUBSUB}" "pubsub"\nadmins = { "${OWNER}" }`,
  ].join('\n');

// ---- What there is before anything is measured.

async function fillHydrant(server: RedisServer, database: number, size: number): Promise<void> {
  const redis = openRedis([urlOf(server, database)], 'patient', () => undefined);
  try {
    await ready(redis);
    const keys = await openKeys(redis, PARTITIONS);
    const feeds = redisFeeds(redis, keys, { itemsPerNode: ITEMS, now: Date.now, random: Math.random });
    const subscriptions = redisSubscriptions(redis, keys);
    await inChunks(URLS.entries(), 50, ([n, url]) => fillFeed(feeds, url, n < NODES ? ITEMS : 0));
    const usual = URLS.filter((url) => url !== POPULAR);
    await subscribeAll(subscriptions, usual, spread(size, usual.length));
    if (size === Math.max(...SIZES)) await subscribeAll(subscriptions, [POPULAR], fans());
  } finally {
    redis.disconnect();
  }
}

/** Makes a feed known, with so many entries; nothing is announced, and there is nobody who would look at it again. */
async function fillFeed(feeds: FeedStore, url: FeedUrl, items: number): Promise<void> {
  await feeds.register(url);
  const feed = await feeds.get(feedIdOf(url));
  if (!feed) throw new Error(`${url} is not known`);
  const changes = entriesOf(url, items).map((entry) => {
    return {
      item: itemIdOf(feed.id, entry.id),
      seen: { link: 'linked', words: 'worded', hashes: ['12345678'] },
      kind: 'stored' as const,
      entry,
    };
  });
  const outcome = { source: sourceOf(url), validators: {}, body: '', changes: { changes, touched: [], left: 0 } };
  await feeds.commit({ feed, nextMs: 86_400_000, outcome: { kind: 'fresh', ...outcome } });
}

/** Subscribes past the component; `feed` is the place of a URL. */
function subscribeAll(store: SubscriptionStore, urls: readonly FeedUrl[], wanted: Iterable<Wanted>): Promise<void> {
  const since = Date.now();
  return inChunks(wanted, 2_000, async ({ jid, feed }) => {
    const url = urls[feed] as FeedUrl;
    const key = { feed: feedIdOf(url), jid, subid: 'bench', node: nodeIdOf(url) };
    await store.put({ ...key, since, state: 'subscribed', options: {} });
  });
}

async function fillModPubsub(tester: AskingComponent): Promise<void> {
  const events = createEvents(MOD_PUBSUB, 61_440);
  await inChunks(URLS.slice(0, NODES).entries(), WINDOW, async ([n, url]) => {
    const node = escapeAttribute(nodeIdOf(url));
    const form =
      field('FORM_TYPE', `${NS.pubsub}#node_config`) + field('pubsub#title', sourceOf(url).title?.value ?? '');
    const configure = `<configure><x xmlns='${NS.data}' type='submit'>${form}</x></configure>`;
    await tester.ask(wrapped('set', OWNER, MOD_PUBSUB, `<create node='${node}'/>${configure}`));
    for (const entry of entriesOf(url, n < READ_NODES ? ITEMS : 0)) {
      const id = itemIdOf(feedIdOf(url), entry.id);
      const item = events.item({ id, at: Date.now(), entry, source: sourceOf(url), url }, feedIdOf(url));
      await tester.ask(wrapped('set', OWNER, MOD_PUBSUB, `<publish node='${node}'>${item}</publish>`));
    }
  });
  const subscribe = (url: FeedUrl, jid: string) => tester.ask(subscription('subscribe', MOD_PUBSUB, url, jid));
  await inChunks(spread(1_000, USUAL.length), WINDOW, ({ jid, feed }) => subscribe(USUAL[feed] as FeedUrl, jid));
  await inChunks(fans(), WINDOW, ({ jid }) => subscribe(POPULAR, jid));
}

const sourceOf = (url: FeedUrl): Source => ({
  title: { type: 'text', value: `The feed of ${new URL(url).hostname}` },
  links: [],
  authors: [],
  categories: [],
});

/** Oldest first. */
const entriesOf = (url: FeedUrl, count: number): Entry[] =>
  Array.from({ length: count }, (_, n) => ({
    id: `tag:bench.example,2026:${n}`,
    title: { type: 'text', value: `Entry number ${n}` },
    content: { type: 'html', value: `<p>${'All the words that an entry of a usual feed has. '.repeat(20)}</p>` },
    links: [{ rel: 'alternate', href: new URL(`/${n}`, url).href }],
    authors: [{ name: 'The bench' }],
    contributors: [],
    categories: [{ term: 'bench' }],
    published: '2026-01-01T00:00:00.000Z',
    updated: '2026-01-01T00:00:00.000Z',
    media: [],
  }));

interface Wanted {
  readonly jid: string;
  readonly feed: number;
}

/** So many subscriptions, spread evenly over persons and feeds. */
function* spread(size: number, feeds: number): Generator<Wanted> {
  for (let n = 0; n < size; n++) {
    yield { jid: `reader-${Math.floor(n / PER_PERSON)}@${TESTER}`, feed: n % feeds };
  }
}

function* fans(): Generator<Wanted> {
  for (let n = 0; n < ON_ONE_NODE; n++) yield { jid: `fan-${n}@${TESTER}`, feed: 0 };
}

async function inChunks<T>(all: Iterable<T>, size: number, work: (one: T) => Promise<unknown>): Promise<void> {
  let chunk: Promise<unknown>[] = [];
  for (const one of all) {
    chunk.push(work(one));
    if (chunk.length < size) continue;
    await Promise.all(chunk);
    chunk = [];
  }
  await Promise.all(chunk);
}

// ---- The stanzas, the same for everybody.

const field = (name: string, value: string): string =>
  `<field var='${name}'><value>${escapeAttribute(value)}</value></field>`;

const wrapped = (type: Question['type'], from: string, to: string, action: string): Question => ({
  type,
  from,
  to,
  child: `<pubsub xmlns='${NS.pubsub}'>${action}</pubsub>`,
});

const subscription = (verb: 'subscribe' | 'unsubscribe', to: string, url: FeedUrl, jid: string): Question =>
  wrapped('set', jid, to, `<${verb} node='${nodeIdOf(url)}' jid='${jid}'/>`);

const READS: Readonly<Record<Exclude<Verb, 'subscribe' | 'unsubscribe'>, (to: string, n: number) => Question>> = {
  items: (to, n) => wrapped('get', personOf(n), to, `<items node='${usual(n % READ_NODES)}'/>`),
  'disco#info': (to, n) => query(to, n, `<query xmlns='${NS.discoInfo}' node='${usual(n)}'/>`),
  'disco#items': (to, n) => query(to, n, `<query xmlns='${NS.discoItems}'/>`),
};

const personOf = (n: number): string => `asker-${n % (BATCH / PER_PERSON)}@${TESTER}`;
const usual = (n: number): string => nodeIdOf(USUAL[n % USUAL.length] as FeedUrl);
const query = (to: string, n: number, child: string): Question => ({ type: 'get', from: personOf(n), to, child });

/** @returns how long the answer to `items` is. @throws Error when the services do not answer alike */
async function sameAnswers(tester: AskingComponent, services: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const to of services) {
    const count = async (question: Question) => (await tester.ask(question)).split('<item ').length - 1;
    const [items, nodes] = [await count(READS.items(to, 0)), await count(READS['disco#items'](to, 0))];
    if (items !== ITEMS || nodes !== NODES) throw new Error(`${to} answers with ${items} items and ${nodes} nodes`);
    bytes = Buffer.byteLength(await tester.ask(READS.items(to, 0)));
  }
  return bytes;
}

// ---- Measuring.

/** Measures every verb once at every service, verb by verb, so that what is compared was measured side by side. */
async function round(
  tester: AskingComponent,
  services: readonly string[],
  rates: Readonly<Record<string, Rates>>,
): Promise<void> {
  const keep = (to: string, name: keyof Rates, rate: number) => rates[to]?.[name].push(rate);

  for (const to of services) {
    const { subscribe, unsubscribe } = await comingAndGoing(tester, to, BATCH, (n) => {
      return { url: USUAL[Math.floor(n / (BATCH / PER_PERSON)) * 4] as FeedUrl, jid: personOf(n) };
    });
    keep(to, 'subscribe', subscribe);
    keep(to, 'unsubscribe', unsubscribe);
  }
  for (const verb of ['items', 'disco#info', 'disco#items'] as const) {
    for (const to of services) {
      const started = performance.now();
      const isOver = () => performance.now() - started > MEASURE_MS;
      const { answers, seconds } = await inFlight(isOver, (n) => tester.ask(READS[verb](to, n)));
      keep(to, verb, answers / seconds);
    }
  }
  for (const to of services) {
    if (to !== MOD_PUBSUB && to !== addressOf(Math.max(...SIZES))) continue;
    // It does one after the other, so few tell as much as many; for us, a window that runs empty is lost time.
    const batch = to === MOD_PUBSUB ? BATCH / 4 : BATCH;
    const { subscribe, unsubscribe } = await comingAndGoing(tester, to, batch, (n) => {
      return { url: POPULAR, jid: `asker-${n}@${TESTER}` };
    });
    keep(to, 'subscribe, popular', subscribe);
    keep(to, 'unsubscribe, popular', unsubscribe);
  }
}

/** Subscribes and unsubscribes by turns, so that what is there stays as it is. */
async function comingAndGoing(
  tester: AskingComponent,
  to: string,
  batch: number,
  who: (n: number) => { readonly url: FeedUrl; readonly jid: string },
): Promise<{ readonly subscribe: number; readonly unsubscribe: number }> {
  const seconds = { subscribe: 0, unsubscribe: 0 };
  let batches = 0;
  for (; seconds.subscribe + seconds.unsubscribe < (2 * MEASURE_MS) / 1_000; batches++) {
    for (const verb of ['subscribe', 'unsubscribe'] as const) {
      const ask = (n: number) => {
        const { url, jid } = who(n);
        return tester.ask(subscription(verb, to, url, jid));
      };
      seconds[verb] += (await inFlight((n) => n === batch, ask)).seconds;
    }
  }
  const all = batches * batch;
  return { subscribe: all / seconds.subscribe, unsubscribe: all / seconds.unsubscribe };
}

/** Keeps the window full until it is over. */
async function inFlight(
  isOver: (n: number) => boolean,
  ask: (n: number) => Promise<unknown>,
): Promise<{ readonly answers: number; readonly seconds: number }> {
  const started = performance.now();
  let answers = 0;
  const lane = async () => {
    while (!isOver(answers)) await ask(answers++);
  };
  await Promise.all(Array.from({ length: WINDOW }, lane));
  return { answers, seconds: (performance.now() - started) / 1_000 };
}

// ---- What comes of it.

const emptyRates = (services: readonly string[]): Record<string, Rates> =>
  Object.fromEntries(
    services.map((to) => {
      const none = { 'subscribe, popular': [], 'unsubscribe, popular': [] };
      return [to, { subscribe: [], unsubscribe: [], items: [], 'disco#info': [], 'disco#items': [], ...none }];
    }),
  );

function table(rates: Readonly<Record<string, Rates>>, bytes: number): Table {
  const of = (to: string, name: keyof Rates): number[] => rates[to]?.[name] ?? [];
  const beside = (ours: readonly number[], theirs: readonly number[]) =>
    ours.map((rate, i) => rate / (theirs[i] ?? NaN));
  const [, some, most] = SIZES.map(addressOf) as [string, string, string];
  const popular = (verb: 'subscribe' | 'unsubscribe') => {
    const [ours, theirs] = [of(most, `${verb}, popular`), of(MOD_PUBSUB, `${verb}, popular`)];
    return { name: `${verb}, ${ON_ONE_NODE} on the node`, cells: [[], [], ours, theirs, beside(ours, theirs), []] };
  };
  const verbs = VERBS.map((verb) => {
    const [ours, theirs] = [SIZES.map((size) => of(addressOf(size), verb)), of(MOD_PUBSUB, verb)];
    const ratios = [beside(of(some, verb), theirs), beside(of(most, verb), of(some, verb))];
    return { name: verb, cells: [...ours, theirs, ...ratios] };
  });
  const kilobytes = Math.round(bytes / 1_024);

  return {
    name: `requests/s, ${WINDOW} in flight, ${ITEMS} items in ${kilobytes} KiB; Hydrant by its number of subscriptions`,
    columns: [
      ...SIZES.map((size) => ({ name: size.toLocaleString('en'), digits: 0 })),
      { name: 'mod_pubsub', digits: 0 },
      { name: 'to mod_pubsub', digits: 2 },
      { name: '100,000 to 1,000', digits: 2 },
    ],
    lines: [...verbs, popular('subscribe'), popular('unsubscribe')],
    goals: [
      {
        name: `subscribe beside mod_pubsub, ${ON_ONE_NODE} subscriptions on the node`,
        ratios: beside(of(most, 'subscribe, popular'), of(MOD_PUBSUB, 'subscribe, popular')),
        goal: 10,
      },
      { name: 'items beside mod_pubsub', ratios: beside(of(some, 'items'), of(MOD_PUBSUB, 'items')), goal: 1 },
      ...VERBS.map((verb) => {
        const ratios = beside(of(most, verb), of(some, verb));
        return { name: `${verb}, 100,000 subscriptions beside 1,000`, ratios, goal: 0.8 };
      }),
    ],
  };
}
