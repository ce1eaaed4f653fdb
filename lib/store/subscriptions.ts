import {
  FIREHOSE,
  parseJid,
  type FeedId,
  type NodeKey,
  type Page,
  type PageAsk,
  type Subscription,
  type SubscriptionKey,
} from '../domain.js';
import type { RedisClient } from '../redis.js';
import { dueIn, keyFrom, memberOf } from './due.js';
import { wakePreamble } from './feeds.js';
import { grouped } from './grouped.js';
import type { Keys } from './keys.js';
import { cursorOf, span } from './pages.js';
import { script } from './script.js';

/** Who wants what. Callers never see a key, a script or a cursor. */
export interface SubscriptionStore {
  /** Replaces the one with the same node, JID and SubID; a feed that was paused is due at once. False when there was one. */
  put(subscription: Subscription): Promise<boolean>;
  /** False when there was nothing to remove. */
  remove(key: SubscriptionKey): Promise<boolean>;
  get(key: SubscriptionKey): Promise<Subscription | undefined>;
  /** All that exactly this JID holds on a node, the oldest first. */
  ofJid(feed: NodeKey, jid: string): Promise<Subscription[]>;
  /** All that one person holds, whatever the resource, the oldest first. */
  ofPerson(jid: string): Promise<Subscription[]>;
  /** At most so many does this person hold. */
  countOfPerson(jid: string): Promise<number>;
  /**
   * In pages, ordered by JID, then SubID: a popular feed has more subscribers than fit in one reply. All that one JID
   * holds comes in one page.
   */
  ofFeed(feed: NodeKey): AsyncIterable<Subscription[]>;
  /**
   * The same in pages as somebody asks for them, the cursor being what subscriptionCursor() gives; undefined when there
   * is no such subscription.
   */
  page(feed: NodeKey, ask: PageAsk): Promise<Page<Subscription> | undefined>;
  /** How many there are, those that are pending too. */
  countOfFeed(feed: NodeKey): Promise<number>;
  /**
   * Gives all subscribers of one feed to another as well, pending ones too; each keeps the name it uses for the node, its
   * SubID and options. Left out is whoever holds one there already with the same JID and the same SubID or options.
   */
  copy(from: FeedId, to: FeedId): Promise<void>;
  /** As copy(), and then takes them from the first. */
  move(from: FeedId, to: FeedId): Promise<void>;
  /** Nodes on which somebody waits for approval, or has done so. */
  pendingNodes(): Promise<NodeKey[]>;
  /** Whose time is over (`options.expire`, a number), by Redis's clock; each until it is removed or gets more time. */
  expired(limit: number): Promise<SubscriptionKey[]>;
  /** The subscribers of a node that was deleted, until they are forgotten; in pages as those of ofFeed(). */
  departed(record: Audience): AsyncIterable<Subscription[]>;
  forget(record: Audience): Promise<void>;
}

/** Names those who were subscribed to a node when it was deleted. */
export interface Audience {
  readonly feed: FeedId;
  readonly audience: string;
}

/** The XEP-0059 cursor of one of a node's subscriptions. */
export const subscriptionCursor = ({ jid, subid }: Pick<Subscription, 'jid' | 'subid'>): string => `${subid} ${jid}`;

const PAGE = 1_000;

// A member is the JID, a NUL, the SubID, a NUL and the rest: sorted by JID and SubID, read in one range, found by its
// beginning. No JID and no SubID has a control character.
const placeOf = ({ jid, subid }: Pick<Subscription, 'jid' | 'subid'>) => `${jid}\0${subid}`;
const beginning = (place: string) => [`[${place}\0`, `(${place}\x01`] as const;

const PUT = script(`
  ${wakePreamble}
  local subscribers, leases, feed, due = unpack(KEYS)
  local place, key, node, rest, ends = unpack(ARGV)
  local old = redis.call('ZRANGEBYLEX', subscribers, '[' .. place .. '\\0', '(' .. place .. '\\1')
  for _, member in ipairs(old) do redis.call('ZREM', subscribers, member) end
  if rest then
    redis.call('ZADD', subscribers, 0, place .. '\\0' .. rest)
    if feed then wake(feed, due, node) end
  end
  if ends then redis.call('ZADD', leases, ends, key) else redis.call('ZREM', leases, key) end
  return #old
`);

const FIND = script(`
  local found = {}
  for i, subscribers in ipairs(KEYS) do
    local place = ARGV[i]
    found[i] = redis.call('ZRANGEBYLEX', subscribers, '[' .. place .. '\\0', '(' .. place .. '\\1')[1] or ''
  end
  return found
`);

export function redisSubscriptions(redis: RedisClient, keys: Keys): SubscriptionStore {
  const personKey = (jid: string) => keys.person(parseJid(jid).bare);

  /** Puts a subscription in its place, without `rest` takes it away: how many there were. */
  function put(key: SubscriptionKey, ...rest: (string | number)[]): Promise<unknown> {
    const { feed } = key;
    const ofFeed = feed === FIREHOSE ? [] : [keys.feed(feed), keys.due(keys.partitionOf(feed))];
    const touched = [keys.subscribers(feed), keys.leases(keys.slotOf(feed)), ...ofFeed];
    return PUT(redis, touched, [placeOf(key), memberOf(key), feed, ...rest]);
  }

  /** One script for each hash slot. */
  async function find(wanted: readonly SubscriptionKey[]): Promise<Subscription[]> {
    const bySlot = grouped(wanted, ({ feed }) => keys.slotOf(feed));
    const found = await Promise.all(
      [...bySlot.values()].map(async (asked) => {
        const sets = asked.map(({ feed }) => keys.subscribers(feed));
        const rows = (await FIND(redis, sets, asked.map(placeOf))) as string[];
        return asked.flatMap(({ feed }, i) => (rows[i] ? [subscriptionFrom(feed, rows[i])] : []));
      }),
    );
    return found.flat();
  }

  async function* pagesOf(set: string, feed: NodeKey): AsyncGenerator<Subscription[]> {
    for (let after = '-'; ;) {
      const rows = await redis.zrangebylex(set, after, '+', 'LIMIT', 0, PAGE);
      const last = rows.at(-1);
      if (last === undefined) return;
      const afterJid = `(${subscriptionFrom(feed, last).jid}\x01`;
      const isFull = rows.length === PAGE;
      if (isFull) rows.push(...(await redis.zrangebylex(set, `(${last}`, afterJid)));
      yield rows.map((row) => subscriptionFrom(feed, row));
      if (!isFull) return;
      after = afterJid;
    }
  }

  async function copyAll(page: readonly Subscription[], to: FeedId): Promise<void> {
    const byJid = grouped(page, ({ jid }) => jid);
    await Promise.all(
      [...byJid].map(async ([jid, subscriptions]) => {
        const there = await store.ofJid(to, jid);
        for (const one of subscriptions) {
          const isThere = there.some(({ subid, options }) => subid === one.subid || isSame(options, one.options));
          if (!isThere) await store.put({ ...one, feed: to });
        }
      }),
    );
  }

  const store: SubscriptionStore = {
    // The node's side decides; the person's side is an index to it, and so is the list of nodes with somebody pending.
    // They are written first and removed last, so that a crash in between leaves an index entry that leads nowhere,
    // which ofPerson() does not show.
    async put(subscription) {
      const { feed, jid, node, since, state, options, room } = subscription;
      const isPending = state === 'pending';
      const indexed = Promise.all([
        redis.sadd(personKey(jid), memberOf(subscription)),
        isPending ? redis.sadd(keys.pending, feed) : undefined,
      ]);
      // One Redis does what comes over one connection in the order in which it comes, so both may be on their way at
      // once; the nodes of a cluster know no order.
      if (redis.isCluster) await indexed;
      const hasOptions = Object.keys(options).length > 0;
      const rest = { node, since, room, ...(isPending && { state }), ...(hasOptions && { options }) };
      const ends = typeof options.expire === 'number' ? [options.expire] : [];
      const [held, index] = await Promise.allSettled([put(subscription, JSON.stringify(rest), ...ends), indexed]);
      if (held.status === 'rejected') throw held.reason;
      if (index.status === 'rejected') {
        if (held.value === 0) await put(subscription);
        throw index.reason;
      }
      return held.value === 0;
    },

    async remove(key) {
      const removed = await put(key);
      await redis.srem(personKey(key.jid), memberOf(key));
      return removed !== 0;
    },

    async get(key) {
      const [row] = await redis.zrangebylex(keys.subscribers(key.feed), ...beginning(placeOf(key)));
      return row === undefined ? undefined : subscriptionFrom(key.feed, row);
    },

    async ofJid(feed, jid) {
      const rows = await redis.zrangebylex(keys.subscribers(feed), ...beginning(jid));
      return rows.map((row) => subscriptionFrom(feed, row)).sort(bySince);
    },

    async ofPerson(jid) {
      const held = await redis.smembers(personKey(jid));
      return (await find(held.map(keyFrom))).sort(bySince);
    },

    countOfPerson: (jid) => redis.scard(personKey(jid)),

    ofFeed: (feed) => pagesOf(keys.subscribers(feed), feed),

    async page(feed, ask) {
      const subscribers = keys.subscribers(feed);
      const cursor = cursorOf(ask);
      const place = cursor === undefined ? undefined : placeIn(cursor);
      if (cursor !== undefined && place === undefined) return undefined;
      const [low, high] = beginning(place ?? '');
      // By the cursor, not by its rank: whoever joins or leaves meanwhile moves no one else out of the page.
      const [count, earlier, held, rows] = await Promise.all([
        redis.zcard(subscribers),
        place === undefined ? undefined : redis.zlexcount(subscribers, '-', `(${place}\0`),
        place === undefined ? 1 : redis.zlexcount(subscribers, low, high),
        ask.before === undefined
          ? redis.zrangebylex(subscribers, place === undefined ? '-' : `[${place}\x01`, '+', 'LIMIT', 0, ask.limit)
          : redis.zrevrangebylex(subscribers, place === undefined ? '+' : `(${place}\0`, '-', 'LIMIT', 0, ask.limit),
      ]);
      if (held === 0) return undefined;
      if (ask.before !== undefined) rows.reverse();
      return {
        entries: rows.map((row) => subscriptionFrom(feed, row)),
        index: span(count, earlier, ask).start,
        count,
      };
    },

    countOfFeed: (feed) => redis.zcard(keys.subscribers(feed)),

    async copy(from, to) {
      if (from === to) return;
      for await (const page of store.ofFeed(from)) await copyAll(page, to);
    },

    async move(from, to) {
      if (from === to) return;
      for await (const page of store.ofFeed(from)) {
        await copyAll(page, to);
        await Promise.all(page.map(store.remove));
      }
    },

    pendingNodes: async () => (await redis.smembers(keys.pending)) as NodeKey[],

    expired: (limit) => dueIn(redis, keys.slots.map(keys.leases), limit),

    departed: ({ feed, audience }) => pagesOf(keys.departed(feed, audience), feed),

    async forget(record) {
      for await (const page of store.departed(record)) {
        // A node that is there again may have some of them again.
        const back = new Set((await find(page)).map(memberOf));
        const gone = page.filter((one) => !back.has(memberOf(one)));
        await Promise.all(gone.map(async (one) => redis.srem(personKey(one.jid), memberOf(one))));
        if (gone.length > 0) await redis.zrem(keys.leases(keys.slotOf(record.feed)), ...gone.map(memberOf));
      }
      await redis.unlink(keys.departed(record.feed, record.audience));
    },
  };
  return store;
}

const bySince = (a: Subscription, b: Subscription) => a.since - b.since;

/** The place of the subscription that a cursor names. */
function placeIn(cursor: string): string | undefined {
  const space = cursor.indexOf(' ');
  return space < 0 ? undefined : placeOf({ subid: cursor.slice(0, space), jid: cursor.slice(space + 1) });
}

/** Whether two say the same, in whatever order. */
function isSame(a: Subscription['options'], b: Subscription['options']): boolean {
  const inOrder = (options: Subscription['options']) =>
    JSON.stringify(Object.entries(options).sort(([one], [other]) => (one < other ? -1 : 1)));
  return inOrder(a) === inOrder(b);
}

const PLAIN = { state: 'subscribed', options: {} } as const;

function subscriptionFrom(feed: NodeKey, row: string): Subscription {
  const first = row.indexOf('\0');
  const second = row.indexOf('\0', first + 1);
  const rest = JSON.parse(row.slice(second + 1)) as Pick<Subscription, 'node' | 'since'> & Partial<Subscription>;
  return { feed, jid: row.slice(0, first), subid: row.slice(first + 1, second), ...PLAIN, ...rest };
}
