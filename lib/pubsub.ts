import {
  FIREHOSE,
  feedIdIn,
  feedIdOf,
  parseFeedUrl,
  parseJid,
  type Entry,
  type Feed,
  type FeedId,
  type FeedUrl,
  type Firehose as FirehoseNode,
  type Item,
  type ItemId,
  type Page,
  type PageAsk,
  type Source,
  type Subscription,
} from './domain.js';
import { Fault } from './faults.js';
import type { ProbeResult } from './queues.js';
import type { AliasStore } from './store/aliases.js';
import type { FeedStore } from './store/feeds.js';
import { firehoseItemId, firehoseNumberIn, type Firehose, type Place } from './store/firehose.js';
import type { ItemStore } from './store/items.js';
import { committedAt, type Log } from './store/log.js';
import type { SubscriptionStore } from './store/subscriptions.js';

/** XEP-0060 as our rules see it: no XML, no Redis, no sockets. Every method may refuse with a Fault. */
export interface PubSub {
  /** @throws Fault `node-not-found` */
  describe(node: string): Promise<NodeDescription>;
  /** The directory of public feeds, in pages. */
  directory(after: FeedId | undefined, limit: number): Promise<Feed[]>;
  /** Subscribes; a URL that nobody follows yet is looked at first. The latest items are for sending after the answer. */
  subscribe(ask: Ask): Promise<{ readonly subscription: Subscription; readonly latest: readonly PublishedItem[] }>;
  unsubscribe(ask: Ask): Promise<void>;
  /** What the requester's bare JID holds, on one node or on all. */
  subscriptions(requester: string, node?: string): Promise<Subscription[]>;
  /**
   * A page, or the newest `max`, or those asked for by id that there are; oldest first.
   * @throws Fault `item-not-found` when the page's cursor is not held, or no longer
   */
  items(ask: ItemsAsk): Promise<ItemsAnswer>;
}

export interface Ask {
  readonly requester: string;
  readonly node: string;
  readonly jid: string;
}

export interface ItemsAsk {
  readonly node: string;
  readonly max?: number;
  readonly ids?: readonly string[];
  readonly page?: PageAsk;
}

export interface ItemsAnswer {
  readonly feed: FeedId | FirehoseNode;
  readonly items: readonly PublishedItem[];
  /** Where in the whole the items stand; absent when they were asked for by id. */
  readonly page?: Pick<Page<unknown>, 'index' | 'count'>;
}

/** An item with what is needed to show it; `at` is when it was committed (ms since 1970). */
export interface PublishedItem {
  readonly id: string;
  readonly at: number;
  readonly entry: Entry;
  readonly source: Source;
  /** The feed it comes from. */
  readonly url: FeedUrl;
}

export type NodeDescription =
  | { readonly kind: 'feed'; readonly feed: Feed; readonly subscribers: number }
  | { readonly kind: 'firehose'; readonly subscribers: number };

export interface PubSubDeps {
  readonly feeds: Pick<FeedStore, 'get' | 'register' | 'list'>;
  readonly items: ItemStore;
  readonly log: Pick<Log, 'at'>;
  readonly firehose: Pick<Firehose, 'page' | 'byNumber'>;
  readonly subscriptions: SubscriptionStore;
  readonly aliases: Pick<AliasStore, 'feedsOf'>;
  /** Looks at a URL; undefined when there was no answer in time. */
  readonly probe: (url: FeedUrl) => Promise<ProbeResult | undefined>;
  readonly now: () => number;
  readonly policy: Policy;
}

export interface Policy {
  /** Our own domain: users of the domain that it is part of are local. */
  readonly domain: string;
  readonly admins: readonly string[];
  readonly whoMayAdd: 'anyone' | 'local' | 'admins';
  readonly maxSubscriptions: number;
}

// What a node without a limit in the request gives, and what it gives at most.
const ITEMS_DEFAULT = 20;
const ITEMS_MAX = 100;

export function createPubSub(deps: PubSubDeps): PubSub {
  const { feeds, items, log, firehose, subscriptions, aliases, probe, now, policy } = deps;

  /** The node that a name stands for: `firehose`, a NodeID, a feed's URL or a page's. */
  async function find(node: string): Promise<Feed | FirehoseNode | undefined> {
    if (node === FIREHOSE) return FIREHOSE;
    const id = feedIdIn(node);
    if (id) {
      const feed = await feeds.get(id);
      return feed?.node === node ? feed : undefined;
    }
    if (!isUrl(node)) return undefined;
    const url = parseFeedUrl(node);
    const feed = await feeds.get(feedIdOf(url));
    if (feed?.read !== undefined) return feed;
    // Not a feed, or not one that was ever read: perhaps a page, under whose name another feed is known.
    const [first] = await aliases.feedsOf(url);
    return (first && (await feeds.get(first))) ?? feed;
  }

  async function existing(node: string): Promise<Feed | FirehoseNode> {
    const found = await find(node);
    if (!found)
      throw new Fault('node-not-found', 'There is no such node; subscribe to the URL of a feed to create one');
    return found;
  }

  function mayAdd(requester: string): boolean {
    const { bare, domain } = parseJid(requester);
    if (policy.whoMayAdd === 'anyone' || policy.admins.includes(bare)) return true;
    return policy.whoMayAdd === 'local' && domain === policy.domain.split('.').slice(1).join('.');
  }

  /** The feed at a URL that nobody follows yet; made known unread when looking at it takes too long. */
  async function discovered(url: FeedUrl, requester: string): Promise<Feed> {
    if (!mayAdd(requester))
      throw new Fault('forbidden', 'You may not add feeds here; only known feeds can be followed');
    const result = await probe(url);
    if (result?.kind === 'refused') throw new Fault(result.code, result.text);
    if (!result) await feeds.register(url);
    const feed = await feeds.get(result?.feed ?? feedIdOf(url));
    if (!feed) throw new Fault('unavailable', 'The feed is not ready yet; try again');
    return feed;
  }

  /** Reads what the log still has of these places. */
  async function published(places: readonly Place[]): Promise<PublishedItem[]> {
    const records = await Promise.all(places.map(({ partition, id }) => log.at(partition, id)));
    return places.flatMap(({ number, id }, i) => {
      const record = records[i];
      if (!record) return [];
      const { entry, source, url } = record;
      return [{ id: firehoseItemId(number), at: committedAt(id), entry, source, url }];
    });
  }

  const inFeed = ({ source = NO_SOURCE, url }: Feed, held: readonly Item[]): PublishedItem[] =>
    held.map((item) => ({ ...item, source, url }));

  async function byId(node: Feed | FirehoseNode, ids: readonly string[]): Promise<PublishedItem[]> {
    if (node !== FIREHOSE) return inFeed(node, await items.byId(node.id, ids as ItemId[]));
    return published(await firehose.byNumber(ids.map(firehoseNumberIn).filter((number) => number !== undefined)));
  }

  async function pageOf(node: Feed | FirehoseNode, ask: PageAsk): Promise<Required<Omit<ItemsAnswer, 'feed'>>> {
    if (node === FIREHOSE) {
      const { entries, ...page } = held(await firehose.page(ask));
      return { items: await published(entries), page };
    }
    const { entries, ...page } = held(await items.page(node.id, ask));
    return { items: inFeed(node, entries), page };
  }

  return {
    async describe(name) {
      const node = await existing(name);
      if (node === FIREHOSE) return { kind: 'firehose', subscribers: await subscriptions.countOfFeed(FIREHOSE) };
      return { kind: 'feed', feed: node, subscribers: await subscriptions.countOfFeed(node.id) };
    },

    directory: (after, limit) => feeds.list(after, limit),

    async subscribe({ requester, node: name, jid }) {
      const subscriber = parseJid(jid);
      if (subscriber.bare !== parseJid(requester).bare) {
        throw new Fault('invalid-jid', 'You may only subscribe yourself');
      }
      const found = await find(name);
      if (!found && !isUrl(name)) await existing(name);
      if (found === FIREHOSE && !mayAdd(requester)) throw new Fault('forbidden', 'The firehose is not open to you');

      // Looked at before the limit, so that subscribing again always succeeds.
      const held = await subscriptions.countOfPerson(jid);
      const node =
        found ?? (held < policy.maxSubscriptions ? await discovered(parseFeedUrl(name), requester) : undefined);
      const feed = node && idOf(node);
      const before = feed && (await subscriptions.get(feed, subscriber.full));
      if (!node || !feed || (!before && held >= policy.maxSubscriptions)) {
        throw new Fault('too-many-subscriptions', `At most ${policy.maxSubscriptions} subscriptions per person`);
      }

      const subscription: Subscription = { feed, jid: subscriber.full, node: name, since: before?.since ?? now() };
      await subscriptions.add(subscription);
      const { items: latest } = await pageOf(node, { limit: 1, before: '' });
      return { subscription, latest };
    },

    async unsubscribe({ requester, node: name, jid }) {
      const subscriber = parseJid(jid);
      if (subscriber.bare !== parseJid(requester).bare) {
        throw new Fault('forbidden', 'You may only unsubscribe yourself');
      }
      // By the name it was made with first: a page's URL may stand for another feed by now.
      const held = await subscriptions.ofPerson(jid);
      const named = held.find((one) => one.jid === subscriber.full && one.node === name)?.feed;
      const feed = named ?? idOf(await existing(name));
      if (!(await subscriptions.remove(feed, subscriber.full))) throw new Fault('not-subscribed');
    },

    async subscriptions(requester, name) {
      const held = await subscriptions.ofPerson(requester);
      if (name === undefined) return held;
      const node = await existing(name);
      const feed = idOf(node);
      return held.filter((one) => one.feed === feed);
    },

    async items({ node: name, max = ITEMS_DEFAULT, ids, page }) {
      const node = await existing(name);
      const feed = idOf(node);
      if (ids) return { feed, items: await byId(node, ids.slice(0, ITEMS_MAX)) };
      const { limit, ...cursor } = page ?? { limit: max, before: '' };
      return { feed, ...(await pageOf(node, { limit: Math.min(limit, ITEMS_MAX), ...cursor })) };
    },
  };
}

const isUrl = (node: string): boolean => /^https?:/i.test(node);

const idOf = (node: Feed | FirehoseNode): FeedId | FirehoseNode => (node === FIREHOSE ? FIREHOSE : node.id);

function held<T>(page: Page<T> | undefined): Page<T> {
  if (!page) throw new Fault('item-not-found', 'The item that the page was to begin at is not held, or no longer');
  return page;
}

const NO_SOURCE: Source = { links: [], authors: [], categories: [] };
