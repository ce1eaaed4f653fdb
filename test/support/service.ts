import { expect } from '@jest/globals';
import { feedIdOf, itemIdOf, nodeIdOf, parseFeedUrl, type FeedId, type FeedUrl } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import type { Submitted } from '../../lib/fields.js';
import { createPubSub } from '../../lib/pubsub.js';
import type { Policy } from '../../lib/pubsub/nodes.js';
import type { PublishedItem } from '../../lib/pubsub/reader.js';
import type { ProbeResult, PushResult } from '../../lib/queues.js';
import { createVault } from '../../lib/vault.js';
import { memoryStores, type Stores } from './memory.js';
import { BLOG, entryOf, look, newsOf, openFeed } from './stores.js';

export const ID = feedIdOf(BLOG);
export const NODE = nodeIdOf(BLOG);
export const PAGE = parseFeedUrl('https://blog.example/');
export const NEW = parseFeedUrl('https://new.example/rss');
export const ROMEO = 'romeo@example.net/orchard';
export const BARE = 'romeo@example.net';
export const JULIET = 'juliet@example.net';
export const MALLORY = 'mallory@elsewhere.example';
export const ADMIN = 'admin@example.net';
export const ROOM = 'verona@rooms.example.net';
export const LOCKED_ROOM = 'tomb@rooms.example.net';
export const NOW = 1_800_000_000_000;
export const DAY_MS = 86_400_000;

/** The world: a URL is a feed, a page of the blog, something else, or too slow to say. */
const ANSWERS: Readonly<Record<string, ProbeResult | 'slow'>> = {
  'https://broken.example/': { kind: 'refused', code: 'not-a-feed', text: 'That is a picture' },
  'https://down.example/': { kind: 'refused', code: 'feed-unreachable', text: 'The server answered 503' },
  'https://slow.example/': 'slow',
};

/** The rules over memory stores, with an admin, a clock of their own and ids that count. */
export function bench(policy: Partial<Policy> = {}, vault = createVault(Buffer.alloc(32, 7))) {
  let now = NOW;
  let ids = 0;
  const { itemsPerNode = 20 } = policy;
  const stores = memoryStores({ now: () => now, itemsPerNode });
  const looked: string[] = [];
  const pushed: { readonly feed: FeedId; readonly entries: readonly string[] }[] = [];
  const answers: { push: PushResult | undefined } = { push: { kind: 'committed', items: [] } };
  const service = createPubSub({
    ...stores,
    vault,
    now: () => now,
    newId: () => `id${++ids}`,
    isRoom: async (jid) => jid === ROOM || jid === LOCKED_ROOM,
    async enterRoom(jid) {
      if (jid === LOCKED_ROOM) throw new Fault('not-allowed', 'The room does not let us in');
    },
    policy: {
      ...{ domain: 'feeds.example.net', admins: [ADMIN], whoMayAdd: 'anyone', maxSubscriptions: 10 },
      ...{ itemsPerNode, nodeType: 'urn:test:feed' },
      ...policy,
    },
    async probe(url: FeedUrl): Promise<ProbeResult | undefined> {
      looked.push(url);
      const answer = ANSWERS[url];
      if (answer) return answer === 'slow' ? undefined : answer;
      const feed = url === PAGE ? BLOG : url;
      await look(stores, feed, [entryOf('latest'), entryOf('older')]);
      if (url === PAGE) await stores.aliases.add(PAGE, ID);
      return { kind: 'feed', feed: feedIdOf(feed) };
    },
    async push(feed, entries) {
      pushed.push({ feed, entries });
      return answers.push;
    },
  });
  return {
    service,
    stores,
    vault,
    looked,
    pushed,
    answers,
    later: (ms: number) => (now += ms),
    /** What comes of a subscription, with what is told once it is answered. */
    async subscribe(node: string, jid = BARE, requester = jid) {
      const { notices, ...held } = await service.subscribe({ requester, node, jid });
      return { ...held, notices: await notices() };
    },
    unsubscribe: (node: string, jid = BARE, requester = jid) => service.unsubscribe({ requester, node, jid }),
    /** A node without a feed, made by the admin. */
    create: (node: string, config: Readonly<Record<string, string>> = {}) =>
      service.createNode({ requester: ADMIN, node, config: form(config) }),
    configure: (node: string, config: Readonly<Record<string, string | readonly string[]>>) =>
      service.configure({ requester: ADMIN, node, config: form(config) }),
    affiliate: (node: string, jid: string, affiliation: string) =>
      service.changeAffiliations(node, ADMIN, [{ jid, affiliation }]),
    publish: (node: string, ...given: readonly string[]) =>
      service.publish({ requester: ADMIN, node, items: given.map((id) => ({ id, payloads: [`<p>${id}</p>`] })) }),
  };
}

export type Bench = ReturnType<typeof bench>;

/** With a blog that has two entries, the later one called b. */
export async function withBlog(policy: Partial<Policy> = {}): Promise<Bench> {
  const one = bench(policy);
  await look(one.stores, BLOG, [entryOf('b'), entryOf('a')]);
  return one;
}

/** With entries on the firehose, numbered from 1. */
export async function withFirehose(count: number): Promise<Bench> {
  const one = bench();
  const { stores } = one;
  await openFeed(stores);
  for (let n = 1; n <= count; n++) {
    await look(stores, BLOG, [entryOf(`${n}`)]);
    await number(stores);
    one.later(1_000);
  }
  return one;
}

/** Gives everything in the log its number. */
async function number({ log, firehose }: Pick<Stores, 'log' | 'firehose'>): Promise<void> {
  for (let partition = 0; partition < log.partitions; partition++) {
    const records = await log.read(partition, '0', 10_000);
    const places = records.map(({ id }) => id);
    if (places.length > 0) await firehose.number(partition, newsOf(...places), 1);
  }
}

/** What was submitted in a form, by the names of the fields without their prefix where it is the usual one. */
export const form = (values: Readonly<Record<string, string | readonly string[]>>): Submitted =>
  new Map(
    Object.entries(values).map(([name, value]) => [name.includes('#') ? name : `pubsub#${name}`, [value].flat()]),
  );

/** The code of the Fault that this is refused with. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => 'was not refused',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Fault);
  return (error as Fault).code;
}

/** The publishers' own ids of entries; of what people have published, the ItemID. */
export const idsOf = (items: readonly PublishedItem[]): string[] =>
  items.map((item) => ('entry' in item ? item.entry.id : item.id));

export const itemId = (entry: string): string => itemIdOf(ID, entry);
