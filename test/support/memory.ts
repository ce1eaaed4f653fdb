import {
  FIREHOSE,
  feedIdOf,
  nodeIdOf,
  ownNodeIdOf,
  parseJid,
  type Affiliation,
  type Entry,
  type Feed,
  type FeedId,
  type Firehose as FirehoseNode,
  type Item,
  type ItemId,
  type NodeKey,
  type Page,
  type PageAsk,
  type Subscription,
} from '../../lib/domain.js';
import type { Seen } from '../../lib/changes.js';
import type { ConfigOverrides } from '../../lib/node-config.js';
import { aliasOf, type AliasStore } from '../../lib/store/aliases.js';
import type { ContactStore } from '../../lib/store/contacts.js';
import { DIGEST_FULL, type DigestStore } from '../../lib/store/digests.js';
import { keyFrom, memberOf } from '../../lib/store/due.js';
import { FORGET_FEED_MS, type Commit, type FeedStore, type Taken } from '../../lib/store/feeds.js';
import { firehoseItemId, type Firehose, type Place } from '../../lib/store/firehose.js';
import { RETRACT_AT_ONCE, type ItemStore } from '../../lib/store/items.js';
import { createKeys } from '../../lib/store/keys.js';
import type { LeaseStore } from '../../lib/store/lease.js';
import { LIMIT_REMEMBERS, type LimitStore } from '../../lib/store/limits.js';
import { compareLogIds, Fenced, type Log, type LogRecord } from '../../lib/store/log.js';
import { hasType, type NodeRecord, type NodeStore, type Successor } from '../../lib/store/nodes.js';
import type { Picture, PictureStore } from '../../lib/store/pictures.js';
import type { SnapshotStore } from '../../lib/store/snapshots.js';
import { subscriptionCursor, type SubscriptionStore } from '../../lib/store/subscriptions.js';

/** Every store there is. */
export interface Stores {
  readonly nodes: NodeStore;
  readonly feeds: FeedStore;
  readonly items: ItemStore;
  readonly log: Log;
  readonly firehose: Firehose;
  readonly subscriptions: SubscriptionStore;
  readonly digests: DigestStore;
  readonly limits: LimitStore;
  readonly contacts: ContactStore;
  readonly rooms: ContactStore;
  readonly aliases: AliasStore;
  readonly leases: LeaseStore;
  readonly snapshots: SnapshotStore;
  readonly pictures: PictureStore;
}

export interface StoreOptions {
  readonly now?: () => number;
  readonly random?: () => number;
  readonly itemsPerNode?: number;
  readonly partitions?: number;
}

/** What is known of one feed. */
interface Known {
  feed: Feed;
  due: number;
  readonly seen: Map<ItemId, Seen>;
  pinged?: { readonly until: number; readonly slot: string };
  busy?: { readonly until: number; readonly holder: string; readonly again: boolean };
}

/** What a node holds. A Map keeps the order of insertion: the newest item is the last one. */
type Shelf = Map<ItemId, { readonly item: Item; readonly born: number }>;

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
  const owned = new Map<FeedId, { readonly name: string; readonly created: number; readonly creator: string }>();
  const shelves = new Map<FeedId, Shelf>();
  const configured = new Map<NodeKey, ConfigOverrides>();
  const expiring = new Map<FeedId, number>();
  const successors = new Map<FeedId, Successor>();
  const affiliated = new Map<NodeKey, Map<string, Affiliation>>();
  let births = 0;
  let audiences = 0;
  const logs: LogRecord[][] = Array.from({ length: partitions }, () => []);
  const positions = new Map<number, string>();
  const quarantines = new Map<number, Set<string>>();
  const watchers: ((partition: number) => void)[] = [];
  const fences = new Map<number | 'firehose', number>();
  const numbers: (Place & { readonly at: number; readonly feed: FeedId })[] = [];
  const fingerprinted = new Map<string, number>();
  const reached = new Map<number, string>();
  let numbered = 0;
  const subscribed = new Map<FeedId | FirehoseNode, Map<string, Subscription>>();
  const departed = new Map<string, readonly Subscription[]>();
  const waited = new Set<FeedId | FirehoseNode>();
  const digested = new Map<string, { readonly refs: readonly string[]; readonly due: number }>();
  const limited = new Map<string, { day: number; count: number; allowed: readonly string[] }>();
  const aliased = new Map<string, FeedId[]>();
  const held = new Map<string, { readonly holder: string; until: number }>();
  let tokens = 0;
  const kept = new Map<string, { readonly text: string; readonly until: number }>();
  const pictured = new Map<FeedId, { readonly picture: Picture | 'none'; readonly until: number }>();

  const audienceOf = ({ feed, audience }: { feed: FeedId; audience: string }) => `${feed} ${audience}`;
  const subscribers = (feed: FeedId | FirehoseNode) => entryOf(subscribed, feed, () => new Map<string, Subscription>());
  const quarantineOf = (partition: number) => entryOf(quarantines, partition, () => new Set<string>());
  const logOf = (partition: number) => logs[partition] ?? [];

  function fence(name: number | 'firehose', token: number): void {
    if ((fences.get(name) ?? 0) > token) throw new Fenced('The address has a later holder');
    fences.set(name, token);
  }

  const shelfOf = (node: FeedId) => entryOf(shelves, node, (): Shelf => new Map());
  const isThere = (node: NodeKey) => node === FIREHOSE || known.has(node) || owned.has(node);

  function append(record: Unplaced<LogRecord>): void {
    const partition = partitionOf(record.feed);
    const [ms = 0, sequence = 0] = (logOf(partition).at(-1)?.id ?? '0-0').split('-').map(Number);
    const id = now() > ms ? `${now()}-0` : `${ms}-${sequence + 1}`;
    logOf(partition).push({ ...record, partition, id });
    for (const watcher of watchers) watcher(partition);
  }

  function hold(node: FeedId, item: Item): void {
    const shelf = shelfOf(node);
    const born = shelf.get(item.id)?.born ?? ++births;
    shelf.delete(item.id);
    shelf.set(item.id, { item, born });
  }

  function trim(node: FeedId, keep: number): void {
    const shelf = shelfOf(node);
    for (const item of [...shelf.keys()].slice(0, -keep)) shelf.delete(item);
  }

  /** An item as it is, with another entry. */
  function rewrite(node: FeedId, item: ItemId, entry: Entry): boolean {
    const shelf = shelfOf(node);
    const before = shelf.get(item);
    if (!before) return false;
    shelf.set(item, { ...before, item: { id: item, at: before.item.at, entry } });
    return true;
  }

  function publish(one: Known, { changes: { changes }, source }: Shown): void {
    const { id: feed, url } = one.feed;
    for (const { item, seen, kind, entry } of changes) {
      one.seen.set(item, seen);
      if (kind === 'noted' || (kind === 'stored' && rewrite(feed, item, entry))) continue;
      hold(feed, { id: item, at: now(), entry });
      const isHeard = kind !== 'first' || subscribers(feed).size > 0;
      if (kind !== 'stored' && isHeard) append({ feed, url, item, kind, entry, source });
    }
    trim(feed, configured.get(feed)?.maxItems ?? itemsPerNode);
  }

  const isFollowed = (id: FeedId) =>
    subscribers(id).size > 0 || (affiliated.get(id)?.size ?? 0) > 0 || Object.keys(configured.get(id) ?? {}).length > 0;

  function wake(id: NodeKey): void {
    const one = id === FIREHOSE ? undefined : known.get(id);
    if (one?.feed.paused === undefined) return;
    const { paused, ...feed } = one.feed;
    one.feed = { ...feed, woken: paused };
    one.due = now();
  }

  /** What a look does to the schedule. */
  function schedule(one: Known, nextMs: number): void {
    const { paused, woken: _, ...feed } = one.feed;
    const again = one.busy?.again ?? false;
    delete one.busy;
    if (isFollowed(feed.id)) {
      one.feed = feed;
      one.due = now() + (again ? 0 : nextMs);
    } else {
      one.feed = { ...feed, paused: paused ?? now() };
      one.due = (paused ?? now()) + FORGET_FEED_MS;
    }
  }

  async function takeOne(id: FeedId, holder: string, ms: number): Promise<Taken> {
    const one = known.get(id);
    const feed = await feeds.get(id);
    if (!one || !feed) return { kind: 'unknown' };
    const { busy } = one;
    if (busy && busy.until > now() && busy.holder !== holder) {
      if (holder === 'ping') one.busy = { ...busy, again: true };
      else one.due = busy.until;
      return { kind: 'busy' };
    }
    if (feed.paused !== undefined && !isFollowed(id)) {
      const last = feed.paused + FORGET_FEED_MS;
      if (now() >= last) return { kind: 'forgettable' };
      one.due = last;
      return { kind: 'paused' };
    }
    one.busy = { until: now() + ms, holder, again: false };
    return { kind: 'taken', feed, subscribers: subscribers(id).size };
  }

  const feeds: FeedStore = {
    async register(url, sealed) {
      const id = feedIdOf(url);
      if (known.has(id)) return false;
      const base = { id, url, node: nodeIdOf(url), version: 0, validators: {}, added: now(), failures: 0 };
      const feed: Feed = { ...base, ...(sealed && { sealed }) };
      known.set(id, { feed, due: now(), seen: new Map() });
      successors.delete(id);
      return true;
    },

    async get(id) {
      const feed = known.get(id)?.feed;
      const { editThreshold } = configured.get(id) ?? {};
      return feed && { ...feed, ...(editThreshold !== undefined && { editThreshold }) };
    },

    async take(ids, holder, ms) {
      return new Map(await Promise.all(ids.map(async (id) => [id, await takeOne(id, holder, ms)] as const)));
    },

    known: async (feed) => new Map(known.get(feed)?.seen),

    async lease(limit, leaseMs) {
      const due = [...known.values()].filter((one) => one.due <= now());
      due.sort((a, b) => a.due - b.due);
      const longest = due.splice(0, Math.floor(Math.min(limit, due.length) / 2));
      const taken = [...longest, ...due.sort(() => random() - 0.5).slice(0, limit - longest.length)];
      for (const one of taken) one.due = now() + leaseMs;
      return taken.map(({ feed }) => feed.id);
    },

    async commit({ feed: { id, version, failures }, nextMs, facts = {}, outcome }) {
      const one = known.get(id);
      if (!one) return 'gone';
      if (one.feed.version !== version) return 'conflict';
      const changed = Object.entries({ ...one.feed, ...facts }).filter(([, value]) => value !== null);
      const looked = {
        ...(Object.fromEntries(changed) as unknown as { -readonly [Key in keyof Feed]: Feed[Key] }),
        version: version + 1,
      };
      if (outcome.status) append({ feed: id, url: one.feed.url, kind: 'status', status: outcome.status });
      if (outcome.kind === 'pushed') {
        one.feed = looked;
        publish(one, outcome);
        return 'committed';
      }
      looked.polled = now();
      if (outcome.kind === 'failed') {
        const failing = looked.failing ?? looked.polled;
        one.feed = { ...looked, failures: failures + 1, failure: outcome.failure, failing };
        if (facts.at === null) {
          const { body: _, ...rest } = one.feed;
          one.feed = { ...rest, validators: {} };
        }
      } else {
        delete looked.failure;
        delete looked.failing;
        one.feed = { ...looked, failures: 0, read: now(), validators: outcome.validators ?? looked.validators };
        if (outcome.kind === 'fresh') {
          const { body: _, ...rest } = one.feed;
          one.feed = { ...rest, source: outcome.source, ...(outcome.body !== undefined && { body: outcome.body }) };
          publish(one, outcome);
        }
      }
      if (nextMs !== undefined) schedule(one, nextMs);
      return 'committed';
    },

    async postpone(id, ms) {
      const one = known.get(id);
      if (!one) return;
      one.due = now() + (one.busy?.again ? 0 : ms);
      delete one.busy;
    },

    async trustPush(id, until) {
      const one = known.get(id);
      if (one) one.feed = { ...one.feed, pushed: until };
    },

    async ping(feed, minMs) {
      const one = known.get(feed);
      const last = one?.pinged;
      if (last && last.until > now()) return { delayMs: last.until - now(), slot: `${last.slot}-after` };
      const slot = `${now()}-${Math.floor(random() * 1e9)}`;
      if (one) one.pinged = { until: now() + minMs, slot };
      return { delayMs: 0, slot };
    },

    dueAt: async (feed) => known.get(feed)?.due,

    async count() {
      return { feeds: known.size, due: [...known.values()].filter(({ due }) => due <= now()).length };
    },
  };

  const items: ItemStore = {
    async page(node, ask, by) {
      const held = [...shelfOf(node).values()];
      if (by === 'creation') held.sort((a, b) => a.born - b.born);
      return pageOf(
        held.map(({ item }) => item),
        ({ id }) => id,
        ask,
      );
    },
    byId: async (node, ids) => ids.flatMap((id) => shelfOf(node).get(id)?.item ?? []),
    async publish(node, published, { persist, keep, announce }) {
      if (!owned.has(node)) return false;
      for (const item of published) {
        const { id, ...content } = item;
        if (persist) hold(node, { ...item, at: now() });
        append({ feed: node, kind: 'published', item: id, ...content });
      }
      const before = [...shelfOf(node).keys()];
      if (persist) trim(node, keep);
      const gone = before.filter((id) => !shelfOf(node).has(id));
      if (announce && gone.length > 0) append({ feed: node, kind: 'retracted', items: gone });
      return true;
    },
    async retract(node, ids, announce) {
      const gone = ids.filter((id) => shelfOf(node).delete(id));
      if (announce && gone.length > 0) append({ feed: node, kind: 'retracted', items: gone });
      return gone;
    },
    async retractOlder(node, ms, announce) {
      const past = [...shelfOf(node).values()].filter(({ item }) => item.at < now() - ms).slice(0, RETRACT_AT_ONCE);
      const ids = past.map(({ item }) => item.id);
      return (await items.retract(node, ids, announce)).length;
    },
    async purge(node, announce) {
      shelves.delete(node);
      if (announce && isThere(node)) append({ feed: node, kind: 'purged' });
    },
  };

  function settle(id: NodeKey, config: ConfigOverrides): void {
    configured.set(id, config);
    if (id === FIREHOSE) return;
    if (config.itemExpire === undefined) expiring.delete(id);
    else expiring.set(id, now());
  }

  function nodeOf(id: NodeKey): NodeRecord | undefined {
    const config = configured.get(id) ?? {};
    if (id === FIREHOSE) return { kind: 'firehose', id: FIREHOSE, config };
    const feed = known.get(id)?.feed;
    if (feed) return { kind: 'feed', id, feed, config };
    const own = owned.get(id);
    return own && { kind: 'own', id, ...own, config };
  }

  const nodes: NodeStore = {
    get: async (id) => nodeOf(id),
    async create(name, creator, config) {
      const id = ownNodeIdOf(name);
      if (isThere(id)) return false;
      owned.set(id, { name, created: now(), creator });
      successors.delete(id);
      settle(id, config);
      return true;
    },
    async configure(id, config, announce, sealed) {
      if (!isThere(id)) return false;
      const one = id === FIREHOSE ? undefined : known.get(id);
      if (one && sealed !== undefined) {
        const { body: _, ...rest } = one.feed;
        const feed: { -readonly [Key in keyof Feed]: Feed[Key] } = {
          ...rest,
          validators: {},
          version: rest.version + 1,
        };
        if (sealed) feed.sealed = sealed;
        else delete feed.sealed;
        Object.assign(one, { feed, due: now() });
      }
      settle(id, config);
      wake(id);
      if (id === FIREHOSE) return true;
      if (config.maxItems !== undefined) trim(id, config.maxItems);
      if (announce) append({ feed: id, kind: 'configured' });
      return true;
    },
    async delete(id, { announce, successor, unfollowed }) {
      if (!isThere(id) || (unfollowed && subscribers(id).size > 0)) return false;
      for (const map of [known, owned, shelves, configured, expiring, affiliated, pictured]) map.delete(id);
      const audience = `${++audiences}`;
      departed.set(audienceOf({ feed: id, audience }), [...subscribers(id).values()]);
      subscribed.delete(id);
      if (successor) successors.set(id, successor);
      append({ feed: id, kind: 'deleted', announce, audience, ...(successor && { successor }) });
      return true;
    },
    successor: async (id) => successors.get(id),
    async page(ask, filter) {
      const { limit, after, before } = ask;
      const cursor = after ?? (before || undefined);
      if (cursor !== undefined && !/^[a-z2-7]{10}$/.test(cursor)) return undefined;
      const all = [...known.keys(), ...owned.keys()].sort().filter((id) => {
        const usual = owned.has(id) ? '' : filter?.usual;
        const { accessModel, type = usual } = configured.get(id) ?? {};
        const isHidden = accessModel === 'whitelist' || known.get(id)?.feed.sealed !== undefined;
        return !isHidden && (!filter || hasType(filter, type ?? ''));
      });
      const isEarlier = (id: string) => cursor !== undefined && (before === undefined ? id <= cursor : id < cursor);
      const place = cursor === undefined ? undefined : all.filter(isEarlier).length;
      const start = before === undefined ? (place ?? 0) : Math.max(0, (place ?? all.length) - limit);
      const stop = before === undefined ? start + limit : (place ?? all.length);
      return { entries: all.slice(start, stop).flatMap((id) => nodeOf(id) ?? []), index: start, count: all.length };
    },
    async affiliate(id, jid, affiliation) {
      const people = entryOf(affiliated, id, () => new Map<string, Affiliation>());
      if (affiliation && isThere(id)) {
        people.set(jid, affiliation);
        wake(id);
      } else {
        people.delete(jid);
      }
    },
    affiliation: async (id, jid) => affiliated.get(id)?.get(jid),
    affiliations: async (id) => new Map([...(affiliated.get(id) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))),
    async affiliationsOf(jid) {
      return [...affiliated].flatMap(([id, people]) => {
        const affiliation = people.get(jid);
        return affiliation ? [{ id, affiliation }] : [];
      });
    },
    async expiring(limit) {
      const due = [...expiring].filter(([, at]) => at <= now()).slice(0, limit);
      return due.map(([id]) => {
        const seconds = configured.get(id)?.itemExpire ?? 0;
        expiring.set(id, now() + Math.max(1_000, Math.min(60_000, seconds * 500)));
        return { id, seconds };
      });
    },
  };

  const log: Log = {
    partitions,
    partitionOf,
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
    async quarantine(record, _, token) {
      const { partition, id, feed } = record;
      fence(partition, token);
      quarantineOf(partition).add(id);
      if (!('item' in record)) return;
      const held = shelfOf(feed).get(record.item);
      if (held && held.item.at <= Number(id.split('-')[0])) shelfOf(feed).delete(record.item);
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
    async number(partition, news, token) {
      fence('firehose', token);
      return news.map(({ id, feed, fingerprints }) => {
        if (compareLogIds(id, reached.get(partition) ?? '0-0') <= 0) {
          return numbers.find((place) => place.partition === partition && place.id === id)?.number;
        }
        reached.set(partition, id);
        const feedOf = (fingerprint: string) =>
          numbers.find(({ number }) => number === fingerprinted.get(fingerprint))?.feed;
        const [own] = fingerprints;
        if (own !== undefined && (feedOf(own) ?? feed) !== feed) return undefined;
        for (const one of fingerprints) if (!feedOf(one)) fingerprinted.set(one, numbered + 1);
        numbers.push({ number: ++numbered, partition, id, feed, at: Math.max(now(), numbers.at(-1)?.at ?? 0) });
        return numbered;
      });
    },
    async page(ask) {
      const page = pageOf(numbers, ({ number }) => firehoseItemId(number), ask);
      return page && { ...page, entries: page.entries.map(placeOfNumber) };
    },
    async between(start = 0, end = Infinity, ask, { above = 0, below = Infinity } = {}) {
      const isIn = ({ number, at }: (typeof numbers)[number]) =>
        at >= start && at <= end && number > above && number < below;
      const part = numbers.filter(isIn).map((place) => ({ ...placeOfNumber(place), at: place.at }));
      const itemId = ask.after ?? ask.before;
      if (!itemId) return pageOf(part, ({ number }) => firehoseItemId(number), ask);
      const cursor = numbers.find(({ number }) => firehoseItemId(number) === itemId);
      if (!cursor) return undefined;
      const place = part.filter(({ number }) => number < cursor.number + (ask.before === undefined ? 1 : 0)).length;
      const from = ask.before === undefined ? place : Math.max(0, place - ask.limit);
      const to = ask.before === undefined ? place + ask.limit : place;
      return { entries: part.slice(from, to), index: from, count: part.length };
    },
    byNumber: async (wanted) =>
      wanted.flatMap((number) => numbers.filter((place) => place.number === number).map(placeOfNumber)),
    async trim(keepMs, isDelivered) {
      const isPast = (place: Place) => Number(place.id.split('-')[0]) < now() - keepMs && isDelivered(place);
      numbers.splice(0, Infinity, ...numbers.filter((place) => !isPast(place)));
    },
  };

  const subscriptions: SubscriptionStore = {
    async put(subscription) {
      const { feed, state } = subscription;
      const isNew = !subscribers(feed).has(placeOf(subscription));
      subscribers(feed).set(placeOf(subscription), subscription);
      if (state === 'pending') waited.add(feed);
      wake(feed);
      return isNew;
    },
    remove: async (key) => subscribers(key.feed).delete(placeOf(key)),
    get: async (key) => subscribers(key.feed).get(placeOf(key)),
    async ofJid(feed, jid) {
      return sorted(subscribers(feed).values())
        .filter((one) => one.jid === jid)
        .sort(bySince);
    },
    async ofPerson(jid) {
      const { bare } = parseJid(jid);
      const all = [...subscribed.values()].flatMap((of) => [...of.values()]);
      return all.filter((one) => parseJid(one.jid).bare === bare).sort(bySince);
    },
    countOfPerson: async (jid) => (await subscriptions.ofPerson(jid)).length,
    async *ofFeed(feed) {
      yield* pagesOf(subscribers(feed).values());
    },
    page: async (feed, ask) => pageOf(sorted(subscribers(feed).values()), subscriptionCursor, ask),
    countOfFeed: async (feed) => subscribers(feed).size,
    async copy(from, to) {
      if (from === to) return;
      const text = ({ options }: Subscription) => JSON.stringify(Object.entries(options).sort());
      const there = [...subscribers(to).values()];
      for (const one of subscribers(from).values()) {
        const isThere = there.some(
          (other) => other.jid === one.jid && (other.subid === one.subid || text(other) === text(one)),
        );
        if (!isThere) await subscriptions.put({ ...one, feed: to });
      }
    },
    async move(from, to) {
      await subscriptions.copy(from, to);
      if (from !== to) subscribers(from).clear();
    },
    pendingNodes: async () => [...waited],
    async expired(limit) {
      const all = [...subscribed.values()].flatMap((of) => [...of.values()]);
      const past = all.filter(({ options: { expire } }) => typeof expire === 'number' && expire <= now());
      return past.slice(0, limit).map(({ feed, subid, jid }) => ({ feed, subid, jid }));
    },
    async *departed(record) {
      yield* pagesOf(departed.get(audienceOf(record)) ?? []);
    },
    async forget(record) {
      departed.delete(audienceOf(record));
    },
  };

  const digests: DigestStore = {
    async hold(key, refs, ms) {
      const { refs: before = [], due = now() + ms } = digested.get(memberOf(key)) ?? {};
      const all = [...new Set([...before, ...refs])];
      const isFull = all.length >= DIGEST_FULL;
      if (all.length > 0) digested.set(memberOf(key), { refs: all, due: isFull ? Math.min(due, now()) : due });
    },
    async due(limit) {
      const due = [...digested].filter(([, one]) => one.due <= now());
      return due.slice(0, limit).map(([member]) => keyFrom(member));
    },
    held: async (key, limit) => (digested.get(memberOf(key))?.refs ?? []).slice(0, limit),
    async release(key, ref) {
      const before = digested.get(memberOf(key))?.refs ?? [];
      if (!before.includes(ref)) return;
      const refs = before.slice(before.indexOf(ref) + 1);
      if (refs.length > 0) digested.set(memberOf(key), { refs, due: now() });
      else digested.delete(memberOf(key));
    },
  };

  const limits: LimitStore = {
    async allow(key, ref, limit) {
      if (limit === 0) return true;
      const one = entryOf(limited, memberOf(key), () => ({ day: 0, count: 0, allowed: [] }));
      if (one.allowed.includes(ref)) return true;
      const today = Math.floor(now() / 86_400_000);
      if (one.day !== today) [one.day, one.count] = [today, 0];
      if (one.count >= limit) return false;
      one.count++;
      one.allowed = [...one.allowed, ref].slice(-LIMIT_REMEMBERS);
      return true;
    },
  };

  const aliases: AliasStore = {
    async add(url, feed) {
      const feedsOf = entryOf(aliased, aliasOf(url), (): FeedId[] => []);
      if (feedsOf.length < 50 && !feedsOf.includes(feed)) feedsOf.push(feed);
    },
    async remove(url, feed) {
      const feedsOf = aliased.get(aliasOf(url)) ?? [];
      aliased.set(
        aliasOf(url),
        feedsOf.filter((one) => one !== feed),
      );
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

  const pictures: PictureStore = {
    async put(feed, picture, ttlMs) {
      pictured.set(feed, { picture, until: now() + ttlMs });
    },
    async get(feed) {
      const one = pictured.get(feed);
      return one && one.until > now() ? one.picture : undefined;
    },
  };

  return {
    nodes,
    feeds,
    items,
    log,
    firehose,
    subscriptions,
    digests,
    limits,
    contacts: jids(),
    rooms: jids(),
    aliases,
    leases,
    snapshots,
    pictures,
  };
}

function jids(): ContactStore {
  const held = new Set<string>();
  return {
    async add(jid) {
      const isNew = !held.has(jid);
      held.add(jid);
      return isNew;
    },
    remove: async (jid) => held.delete(jid),
    has: async (jid) => held.has(jid),
    async *all() {
      if (held.size > 0) yield [...held];
    },
    count: async () => held.size,
  };
}

const placeOfNumber = ({ number, partition, id }: Place): Place => ({ number, partition, id });
const placeOf = ({ jid, subid }: Pick<Subscription, 'jid' | 'subid'>) => `${jid}\0${subid}`;
const bySince = (a: Subscription, b: Subscription) => a.since - b.since;

/** By JID, then SubID; what one JID holds stays in one page. */
function* pagesOf(subscriptions: Iterable<Subscription>): Generator<Subscription[]> {
  const all = sorted(subscriptions);
  for (let start = 0, stop = 0; start < all.length; start = stop) {
    stop = start + PAGE;
    while (all[stop]?.jid === all[stop - 1]?.jid && stop < all.length) stop++;
    yield all.slice(start, stop);
  }
}

const sorted = (subscriptions: Iterable<Subscription>) =>
  [...subscriptions].sort((a, b) => Buffer.compare(Buffer.from(placeOf(a)), Buffer.from(placeOf(b))));

/** A record before it has its place, whatever its kind. */
type Unplaced<R> = R extends LogRecord ? Omit<R, 'id' | 'partition'> : never;

type Shown = Pick<Extract<Commit['outcome'], { kind: 'fresh' }>, 'changes' | 'source'>;

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}
