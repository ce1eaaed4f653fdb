import { parseJid, type FeedId, type Firehose, type Subscription } from '../domain.js';
import type { RedisClient } from '../redis.js';
import type { Keys } from './keys.js';
import { script } from './script.js';

/** Who wants what. Callers never see a key, a script or a cursor. */
export interface SubscriptionStore {
  /** Replaces one with the same node and JID. False when there was one. */
  add(subscription: Subscription): Promise<boolean>;
  /** False when there was nothing to remove. */
  remove(feed: FeedId | Firehose, jid: string): Promise<boolean>;
  get(feed: FeedId | Firehose, jid: string): Promise<Subscription | undefined>;
  /** All that one person holds, whatever the resource. */
  ofPerson(jid: string): Promise<Subscription[]>;
  /** At most so many does this person hold. */
  countOfPerson(jid: string): Promise<number>;
  /** In pages, ordered by JID: a popular feed has more subscribers than fit in one reply. */
  ofFeed(feed: FeedId | Firehose): AsyncIterable<Subscription[]>;
  countOfFeed(feed: FeedId | Firehose): Promise<number>;
  /** Hands all subscribers of one feed over to another; each keeps the name it uses for the node. */
  move(from: FeedId, to: FeedId): Promise<void>;
}

const PAGE = 1_000;

// A member is the JID, a NUL and the rest: sorted by JID, read in one range, found by its beginning.
const PUT = script(`
  local old = redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1] .. '\\0', '(' .. ARGV[1] .. '\\1')
  for _, member in ipairs(old) do redis.call('ZREM', KEYS[1], member) end
  if ARGV[2] then redis.call('ZADD', KEYS[1], 0, ARGV[1] .. '\\0' .. ARGV[2]) end
  return #old
`);

export function redisSubscriptions(redis: RedisClient, keys: Keys): SubscriptionStore {
  const personKey = (jid: string) => keys.person(parseJid(jid).bare);
  const held = (feed: FeedId | Firehose, jid: string) => `${feed} ${jid}`; // a FeedId has no space; a resource may

  const store: SubscriptionStore = {
    // The feed's side decides; the person's side is an index to it. It is written first and removed last, so that a
    // crash in between leaves an index entry that leads nowhere, which ofPerson() does not show.
    async add({ feed, jid, node, since }) {
      await redis.sadd(personKey(jid), held(feed, jid));
      return (await PUT(redis, [keys.subscribers(feed)], [jid, JSON.stringify({ node, since })])) === 0;
    },

    async remove(feed, jid) {
      const removed = await PUT(redis, [keys.subscribers(feed)], [jid]);
      await redis.srem(personKey(jid), held(feed, jid));
      return removed !== 0;
    },

    async get(feed, jid) {
      const [row] = await redis.zrangebylex(keys.subscribers(feed), `[${jid}\0`, `(${jid}\x01`);
      return row === undefined ? undefined : subscriptionFrom(feed, row);
    },

    async ofPerson(jid) {
      const members = await redis.smembers(personKey(jid));
      const found = await Promise.all(
        members.map((member) => {
          const space = member.indexOf(' ');
          return store.get(member.slice(0, space) as FeedId | Firehose, member.slice(space + 1));
        }),
      );
      return found.filter((subscription) => subscription !== undefined).sort((a, b) => a.since - b.since);
    },

    countOfPerson: (jid) => redis.scard(personKey(jid)),

    async *ofFeed(feed) {
      for (let after = '-'; ;) {
        const rows = await redis.zrangebylex(keys.subscribers(feed), after, '+', 'LIMIT', 0, PAGE);
        const page = rows.map((row) => subscriptionFrom(feed, row));
        const last = page.at(-1);
        if (!last) return;
        yield page;
        if (rows.length < PAGE) return;
        after = `(${last.jid}\x01`;
      }
    },

    countOfFeed: (feed) => redis.zcard(keys.subscribers(feed)),

    async move(from, to) {
      if (from === to) return;
      for await (const page of store.ofFeed(from)) {
        for (const subscription of page) {
          await store.add({ ...subscription, feed: to });
          await store.remove(from, subscription.jid);
        }
      }
    },
  };
  return store;
}

function subscriptionFrom(feed: FeedId | Firehose, row: string): Subscription {
  const nul = row.indexOf('\0');
  return { feed, jid: row.slice(0, nul), ...(JSON.parse(row.slice(nul + 1)) as { node: string; since: number }) };
}
