import { compare } from '../../lib/changes.js';
import { feedIdOf, nodeIdOf, type Entry, type FeedId, type FeedUrl, type Source } from '../../lib/domain.js';
import { redisFeeds, type FeedStore } from '../../lib/store/feeds.js';
import { redisSubscriptions } from '../../lib/store/subscriptions.js';
import type { Database } from './ground.js';
import { ENTRIES, VALIDATORS } from './web-feeds.js';

const AT_ONCE = 200;
const COPIES_AT_ONCE = 1_000;
const NEVER_MS = 1_000 * 86_400_000;

/** Feeds known to Redis, each with a subscriber. */
export interface Seeded {
  readonly ids: readonly FeedId[];
  /** Makes the feeds of these numbers due at these times, in ms since 1970. */
  due(numbers: readonly number[], at: (number: number) => number): Promise<void>;
  /** Makes all of them due so late that nobody asks for them. */
  rest(): Promise<void>;
}

/** Feeds that were never read. */
export async function seedUnread(database: Database, urls: readonly FeedUrl[]): Promise<Seeded> {
  const feeds = storeOf(database);
  for (let i = 0; i < urls.length; i += AT_ONCE) {
    const chunk = urls.slice(i, i + AT_ONCE);
    await Promise.all(chunk.map((url) => subscribe(database, url)));
    await Promise.all(chunk.map((url) => feeds.register(url)));
  }
  return seeded(database, urls.map(feedIdOf));
}

/**
 * Feeds as the scheduler leaves them after a look, none of them due. The first one is made by the stores, the keys of the
 * others are copies of its keys under their own names, so that they are what a commit leaves, whatever that is.
 * @param without the keys to leave out, by their words in keys.ts
 */
export async function seedRead(
  database: Database,
  urls: readonly FeedUrl[],
  without: readonly string[],
): Promise<Seeded> {
  const { client, keys } = database;
  const [url] = urls;
  if (!url) throw new Error('no feeds');
  const model = feedIdOf(url);
  await readOnce(database, url);
  const isLeftOut = (key: string) => without.some((word) => key.includes(`:${word}:`));
  const all = await keysOf(database, model);
  // The hash of the feed is the first, because it is the one that says the URL.
  const parts = [keys.feed(model), ...all.filter((key) => key !== keys.feed(model) && !isLeftOut(key))];
  const dumps = await Promise.all(parts.map((key) => client.dumpBuffer(key)));
  await Promise.all(all.filter(isLeftOut).map((key) => client.del(key)));

  const ids = urls.map(feedIdOf);
  const copiesOf = (id: FeedId) =>
    parts.map((key) => key.replace(`{${keys.slotOf(model)}}`, `{${keys.slotOf(id)}}`).replace(model, id));
  for (let i = 1; i < urls.length; i += COPIES_AT_ONCE) {
    const copies = ids.slice(i, i + COPIES_AT_ONCE).flatMap((id, j) => [urls[i + j] ?? '', ...copiesOf(id)]);
    await client.eval(COPY, 0, parts.length, ...dumps, ...copies);
  }
  await score(database, keys.directory, ids, () => 0);
  const feeds = seeded(database, ids);
  await feeds.rest();
  return feeds;
}

const COPY = `
  local count = tonumber(ARGV[1])
  for at = count + 2, #ARGV, count + 1 do
    for i = 1, count do redis.call('RESTORE', ARGV[at + i], 0, ARGV[i + 1]) end
    redis.call('HSET', ARGV[at + 1], 'url', ARGV[at])
  end
`;

/** All keys that carry the feed's id; looks through the whole database. */
export async function keysOf({ client }: Database, feed: FeedId): Promise<string[]> {
  return (await client.keys(`*${feed}*`)).sort();
}

/** Of the feeds of a database, with the usual settings. */
export const storeOf = ({ client, keys }: Database): FeedStore =>
  redisFeeds(client, keys, { itemsPerNode: 20, now: Date.now, random: Math.random });

async function readOnce(database: Database, url: FeedUrl): Promise<void> {
  const feeds = storeOf(database);
  await feeds.register(url);
  await subscribe(database, url);
  const feed = await feeds.get(feedIdOf(url));
  if (!feed) throw new Error(`${url} is not known`);
  const entries = Array.from({ length: ENTRIES }, (_, n) => entryOf(url, n));
  const changes = await compare({
    ...{ feed, known: new Map(), entries, first: true, threshold: 0 },
    held: () => Promise.resolve(new Map()),
  });
  const outcome = { source: sourceOf(url), validators: VALIDATORS, body: BODY_HASH, changes };
  const facts = { full: Date.now(), rhythm: { gap: 86_400, latest: Date.now(), hits: 0.063, hours: '0'.repeat(24) } };
  await feeds.commit({ feed, nextMs: NEVER_MS, facts, outcome: { kind: 'fresh', ...outcome } });
}

/** As long as that of a body. */
const BODY_HASH = 'x'.repeat(16);

async function subscribe({ client, keys }: Database, url: FeedUrl): Promise<void> {
  const who = { feed: feedIdOf(url), jid: 'reader@chat.example', subid: 'bench', node: nodeIdOf(url) };
  await redisSubscriptions(client, keys).put({ ...who, since: Date.now(), state: 'subscribed', options: {} });
}

function seeded(database: Database, ids: readonly FeedId[]): Seeded {
  const due: Seeded['due'] = (numbers, at) => {
    const feeds = numbers.map((number) => ids[number] as FeedId);
    return score(database, database.keys.due, feeds, (i) => at(numbers[i] as number));
  };
  const later = Date.now() + NEVER_MS;
  return { ids, due, rest: () => due([...ids.keys()], () => later) };
}

/** Writes the members of a sorted set that every partition has one of. */
async function score(
  { client, keys }: Database,
  setOf: (partition: number) => string,
  ids: readonly FeedId[],
  scoreOf: (i: number) => number,
): Promise<void> {
  const members = new Map<number, (string | number)[]>();
  for (const [i, id] of ids.entries()) {
    const partition = keys.partitionOf(id);
    const list = members.get(partition) ?? [];
    if (list.length === 0) members.set(partition, list);
    list.push(scoreOf(i), id);
  }
  for (const [partition, list] of members) {
    for (let i = 0; i < list.length; i += 2_000) await client.zadd(setOf(partition), ...list.slice(i, i + 2_000));
  }
}

/** What a weblog says of itself. */
const sourceOf = (url: FeedUrl): Source => ({
  id: 'tag:weblog.example,2026:feed',
  title: { type: 'text', value: 'The weblog of somebody' },
  subtitle: { type: 'text', value: 'What there is to say about it' },
  links: [
    { rel: 'alternate', href: 'https://weblog.example/' },
    { rel: 'self', href: url },
  ],
  authors: [{ name: 'Somebody' }],
  categories: [],
  updated: '2026-01-01T00:00:00.000Z',
});

const entryOf = (url: FeedUrl, n: number): Entry => ({
  id: `tag:weblog.example,2026:${n}`,
  title: { type: 'text', value: `Entry number ${n}` },
  content: { type: 'html', value: `<p>${'All the words that an entry of a usual feed has. '.repeat(20)}</p>` },
  links: [{ rel: 'alternate', href: new URL(`/weblog/${n}`, url).href }],
  authors: [{ name: 'Somebody' }],
  contributors: [],
  categories: [{ term: 'bench' }],
  published: '2026-01-01T00:00:00.000Z',
  updated: '2026-01-01T00:00:00.000Z',
  media: [],
});
