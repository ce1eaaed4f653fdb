import {
  feedIdOf,
  nodeIdOf,
  parseJid,
  type Feed,
  type FeedId,
  type Firehose as FirehoseNode,
  type Item,
  type ItemId,
  type Page,
  type PageAsk,
  type Subscription,
} from '../../lib/domain.js';
import { aliasOf, type AliasStore } from '../../lib/store/aliases.js';
import type { Commit, FeedStore } from '../../lib/store/feeds.js';
import { firehoseItemId, type Firehose, type Place } from '../../lib/store/firehose.js';
import type { ItemStore } from '../../lib/store/items.js';
import { createKeys } from '../../lib/store/keys.js';
import type { LeaseStore } from '../../lib/store/lease.js';
import { compareLogIds, Fenced, type Log, type LogRecord } from '../../lib/store/log.js';
import type { SnapshotStore } from '../../lib/store/snapshots.js';
import type { SubscriptionStore } from '../../lib/store/subscriptions.js';

/** Every store there is. */
export interface Stores {
  readonly feeds: FeedStore;
  readonly items: ItemStore;
  readonly log: Log;
  readonly firehose: Firehose;
  readonly subscriptions: SubscriptionStore;
  readonly aliases: AliasStore;
  readonly leases: LeaseStore;
  readonly snapshots: SnapshotStore;
}

export interface StoreOptions {
  readonly now?: () => number;
  readonly random?: () => number;
  readonly itemsPerNode?: number;
  readonly partitions?: number;
}

/** What is known of one feed. A Map keeps the order of insertion: the newest item is the last one. */
interface Known {
  feed: Feed;
  due: number;
  readonly seen: Map<ItemId, string>;
  readonly items: Map<ItemId, Item>;
  pinged?: { readonly until: number; readonly slot: string };
}

const PAGE = 1_000;

function pageOf<T>(
  all: readonly T[],
  idOf: (entry: T) => string,
  { limit, after, before }: PageAsk,
): Page<T> | undefined {
  const cursor = after ?? before;
  const place = cursor ? all.findIndex((entry) => idOf(entry) === cursor) : undefined;
  if (place === -1) return undefined;
  const [from, to] =
    before === undefined ? [place === undefined ? 0 : place + 1, all.length] : [0, place ?? all.length];
  const part = all.slice(from, to);
  const entries = before === undefined ? part.slice(0, limit) : limit === 0 ? [] : part.slice(-limit);
  return { entries, index: before === undefined ? from : to - entries.length, count: all.length };
}

/** All stores over one state that dies with the test; held to the same promises as those over Redis. */
export function memoryStores(options: StoreOptions = {}): Stores {
  const { now = Date.now, random = Math.random, itemsPerNode = 20, partitions = 4 } = options;
  const { partitionOf } = createKeys(partitions);
  const known = new Map<FeedId, Known>();
  const logs: LogRecord[][] = Array.from({ length: partitions }, () => []);
  const positions = new Map<number, string>();
  const quarantines = new Map<number, Set<string>>();
  const watchers: ((partition: number) => void)[] = [];
  const fences = new Map<number | 'firehose', number>();
  const numbers: Place[] = [];
  let numbered = 0;
  const subscribed = new Map<FeedId | FirehoseNode, Map<string, Subscription>>();
  const aliased = new Map<string, FeedId[]>();
  const held = new Map<string, { readonly holder: string; until: number }>();
  let tokens = 0;
  const kept = new Map<string, { readonly text: string; readonly until: number }>();

  const subscribers = (feed: FeedId | FirehoseNode) => entryOf(subscribed, feed, () => new Map<string, Subscription>());
  const quarantineOf = (partition: number) => entryOf(quarantines, partition, () => new Set<string>());
  const logOf = (partition: number) => logs[partition] ?? [];

  function fence(name: number | 'firehose', token: number): void {
    if ((fences.get(name) ?? 0) > token) throw new Fenced('The address has a later holder');
    fences.set(name, token);
  }

  function append(record: Omit<LogRecord, 'id' | 'partition'>): void {
    const partition = partitionOf(record.feed);
    const [ms = 0, sequence = 0] = (logOf(partition).at(-1)?.id ?? '0-0').split('-').map(Number);
    const id = now() > ms ? `${now()}-0` : `${ms}-${sequence + 1}`;
    logOf(partition).push({ ...record, partition, id });
    for (const watcher of watchers) watcher(partition);
  }

  function publish(one: Known, { changes: { changes }, source }: FreshOutcome): void {
    const { id: feed, url } = one.feed;
    for (const { item, hash, kind, entry } of changes) {
      one.seen.set(item, hash);
      one.items.delete(item);
      one.items.set(item, { id: item, at: now(), entry });
      const isHeard = kind !== 'first' || subscribers(feed).size > 0;
      if (kind !== 'stored' && isHeard) append({ feed, url, item, kind, entry, source });
    }
    for (const item of [...one.items.keys()].slice(0, -itemsPerNode)) one.items.delete(item);
  }

  const feeds: FeedStore = {
    async register(url) {
      const id = feedIdOf(url);
      if (known.has(id)) return false;
      const feed: Feed = { id, url, node: nodeIdOf(url), version: 0, validators: {}, added: now(), failures: 0 };
      known.set(id, { feed, due: now(), seen: new Map(), items: new Map() });
      return true;
    },

    get: async (feed) => known.get(feed)?.feed,

    async known(feed, items) {
      const seen = known.get(feed)?.seen;
      return new Map(items.flatMap((item) => (seen?.has(item) ? [[item, seen.get(item) ?? '']] : [])));
    },

    async lease(limit, leaseMs) {
      const due = [...known.values()].filter((one) => one.due <= now());
      const taken = due.sort(() => random() - 0.5).slice(0, limit);
      for (const one of taken) one.due = now() + leaseMs;
      return taken.map(({ feed }) => feed.id);
    },

    async commit({ feed: { id, version, failures }, nextMs, outcome }) {
      const one = known.get(id);
      if (!one) return 'gone';
      if (one.feed.version !== version) return 'conflict';
      const looked: { -readonly [Key in keyof Feed]: Feed[Key] } = { ...one.feed, version: version + 1, polled: now() };
      one.due = now() + nextMs;
      if (outcome.kind === 'failed') {
        one.feed = { ...looked, failures: failures + 1, failure: outcome.failure };
        return 'committed';
      }
      delete looked.failure;
      one.feed = { ...looked, failures: 0, read: now(), validators: outcome.validators ?? looked.validators };
      if (outcome.kind === 'fresh') {
        one.feed = { ...one.feed, source: outcome.source, body: outcome.body };
        publish(one, outcome);
      }
      return 'committed';
    },

    async ping(feed, minMs) {
      const one = known.get(feed);
      const last = one?.pinged;
      if (last && last.until > now()) return { delayMs: last.until - now(), slot: `${last.slot}-after` };
      const slot = `${now()}-${Math.floor(random() * 1e9)}`;
      if (one) one.pinged = { until: now() + minMs, slot };
      return { delayMs: 0, slot };
    },

    async list(after, limit) {
      const all = [...known.keys()].sort().filter((id) => after === undefined || id > after);
      return all.slice(0, limit).flatMap((id) => known.get(id)?.feed ?? []);
    },

    async count() {
      return { feeds: known.size, due: [...known.values()].filter(({ due }) => due <= now()).length };
    },
  };

  const items: ItemStore = {
    page: async (feed, ask) => pageOf([...(known.get(feed)?.items.values() ?? [])], ({ id }) => id, ask),
    byId: async (feed, ids) => ids.flatMap((id) => known.get(feed)?.items.get(id) ?? []),
  };

  const log: Log = {
    partitions,
    position: async (partition) => positions.get(partition) ?? '0',
    read: async (partition, after, count) =>
      logOf(partition)
        .filter(({ id }) => compareLogIds(id, after) > 0)
        .slice(0, count),
    at: async (partition, id) =>
      logOf(partition).find((record) => record.id === id && !quarantineOf(partition).has(id)),
    async acknowledge(partition, id, token, keep) {
      fence(partition, token);
      positions.set(partition, id);
      const records = logOf(partition);
      const timeOf = (record: LogRecord | undefined) => Number(record?.id.split('-')[0] ?? 0);
      const surplus = timeOf(records[Math.max(0, records.length - keep.records) - 1]);
      const oldest = Math.min(Number(id.split('-')[0]), Math.max(now() - keep.ms, surplus));
      logs[partition] = records.filter((record) => compareLogIds(record.id, `${oldest}-0`) >= 0);
    },
    async quarantine({ partition, id, feed, item }, _, token) {
      fence(partition, token);
      quarantineOf(partition).add(id);
      const items = known.get(feed)?.items;
      if ((items?.get(item)?.at ?? Infinity) <= Number(id.split('-')[0])) items?.delete(item);
    },
    quarantined: async (partition) => new Set(quarantineOf(partition)),
    async backlog() {
      const waiting = logs.map((records, partition) =>
        records.filter(({ id }) => compareLogIds(id, positions.get(partition) ?? '0') > 0),
      );
      return waiting.flat().length;
    },
    watch: (onCommit) => void watchers.push(onCommit),
  };

  const firehose: Firehose = {
    async number(partition, ids, token) {
      fence('firehose', token);
      return ids.map((id) => {
        const before = numbers.find((place) => place.partition === partition && place.id === id);
        if (before) return before.number;
        numbers.push({ number: ++numbered, partition, id });
        return numbered;
      });
    },
    page: async (ask) => pageOf(numbers, ({ number }) => firehoseItemId(number), ask),
    byNumber: async (wanted) => wanted.flatMap((number) => numbers.find((place) => place.number === number) ?? []),
    async trim(keepMs, isDelivered) {
      const isPast = (place: Place) => Number(place.id.split('-')[0]) < now() - keepMs && isDelivered(place);
      numbers.splice(0, Infinity, ...numbers.filter((place) => !isPast(place)));
    },
  };

  const subscriptions: SubscriptionStore = {
    async add(subscription) {
      const { feed, jid } = subscription;
      const isNew = !subscribers(feed).has(jid);
      subscribers(feed).set(jid, subscription);
      return isNew;
    },
    remove: async (feed, jid) => subscribers(feed).delete(jid),
    get: async (feed, jid) => subscribers(feed).get(jid),
    async ofPerson(jid) {
      const { bare } = parseJid(jid);
      const all = [...subscribed.values()].flatMap((of) => [...of.values()]);
      return all.filter((one) => parseJid(one.jid).bare === bare).sort((a, b) => a.since - b.since);
    },
    countOfPerson: async (jid) => (await subscriptions.ofPerson(jid)).length,
    async *ofFeed(feed) {
      const all = [...subscribers(feed).values()].sort((a, b) =>
        Buffer.compare(Buffer.from(a.jid), Buffer.from(b.jid)),
      );
      for (let start = 0; start < all.length; start += PAGE) yield all.slice(start, start + PAGE);
    },
    countOfFeed: async (feed) => subscribers(feed).size,
    async move(from, to) {
      const moving = [...subscribers(from).values()];
      subscribers(from).clear();
      for (const one of moving) await subscriptions.add({ ...one, feed: to });
    },
  };

  const aliases: AliasStore = {
    async add(url, feed) {
      const feedsOf = entryOf(aliased, aliasOf(url), (): FeedId[] => []);
      if (feedsOf.length < 50 && !feedsOf.includes(feed)) feedsOf.push(feed);
    },
    feedsOf: async (url) => [...(aliased.get(aliasOf(url)) ?? [])],
  };

  const holding = (name: string) => {
    const one = held.get(name);
    return one && one.until > now() ? one : undefined;
  };
  const leases: LeaseStore = {
    async acquire(name, holder, ttlMs) {
      if (holding(name)) return undefined;
      held.set(name, { holder, until: now() + ttlMs });
      return ++tokens;
    },
    async renew(name, holder, ttlMs) {
      const one = holding(name);
      if (one?.holder !== holder) return false;
      one.until = now() + ttlMs;
      return true;
    },
    async release(name, holder) {
      if (holding(name)?.holder === holder) held.delete(name);
    },
    isHeld: async (name) => holding(name) !== undefined,
  };

  const snapshots: SnapshotStore = {
    async put(name, text, ttlMs) {
      kept.set(name, { text, until: now() + ttlMs });
    },
    async get(name) {
      const one = kept.get(name);
      return one && one.until > now() ? one.text : undefined;
    },
  };

  return { feeds, items, log, firehose, subscriptions, aliases, leases, snapshots };
}

type FreshOutcome = Extract<Commit['outcome'], { kind: 'fresh' }>;

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}
