import {
  FIREHOSE,
  feedIdIn,
  ownNodeIdOf,
  parseJid,
  type Entry,
  type FeedUrl,
  type Item,
  type ItemId,
  type NodeKey,
  type Page,
  type PageAsk,
  type Source,
} from '../domain.js';
import { Fault } from '../faults.js';
import { stateOf, type FeedState } from '../status.js';
import type { FeedStore } from '../store/feeds.js';
import { firehoseItemId, firehoseNumberIn, type Firehose, type Place } from '../store/firehose.js';
import type { ItemStore } from '../store/items.js';
import { committedAt, type Log } from '../store/log.js';
import type { NodeStore, TypeFilter } from '../store/nodes.js';
import type { SubscriptionStore } from '../store/subscriptions.js';
import type { Node, Nodes, Policy } from './nodes.js';

/** An item with what is needed to show it; `at` is when it was committed (ms since 1970). */
export type PublishedItem = EntryItem | PayloadItem;

/** A feed's entry, with what the feed says of itself, and its address. */
export interface EntryItem {
  readonly id: string;
  readonly at: number;
  readonly entry: Entry;
  readonly source: Source;
  readonly url: FeedUrl;
}

/** What somebody has published: XML text, '' for no payload. */
export interface PayloadItem {
  readonly id: string;
  readonly at: number;
  readonly payload: string;
  /** Bare JID. */
  readonly publisher: string;
}

export interface ItemsAsk {
  readonly requester: string;
  readonly node: string;
  readonly subid?: string;
  readonly max?: number;
  readonly ids?: readonly string[];
  readonly page?: PageAsk;
  readonly order?: Order;
}

/** XEP-0413; without one, the order of publishing, where an edited entry counts as new. */
export interface Order {
  readonly by: 'creation' | 'modification';
  readonly newestFirst: boolean;
}

export interface ItemsAnswer {
  readonly node: Node;
  readonly items: readonly PublishedItem[];
  /** Where in the whole the items stand; absent when they were asked for by id. */
  readonly page?: Pick<Page<unknown>, 'index' | 'count'>;
}

/** A part of a node's past (XEP-0313 4.1); times are ms since 1970. */
export interface ArchiveAsk {
  readonly requester: string;
  readonly node: string;
  readonly start?: number;
  readonly end?: number;
  /** Only what is after, or before, these items. */
  readonly afterId?: string;
  readonly beforeId?: string;
  readonly ids?: readonly string[];
  readonly page: PageAsk;
}

export interface NodeDescription {
  readonly node: Node;
  readonly subscribers: number;
  readonly owners: readonly string[];
  readonly publishers: readonly string[];
  /** Whether the one who asks may see more than that the node is there. */
  readonly isOpen: boolean;
  /** Of a feed's node. */
  readonly state?: FeedState;
}

export interface DirectoryAsk {
  readonly page: PageAsk;
  readonly types?: Omit<TypeFilter, 'usual'>;
}

export interface ReaderDeps {
  readonly feeds: Pick<FeedStore, 'dueAt'>;
  readonly nodes: Pick<NodeStore, 'page' | 'affiliations'>;
  readonly items: Pick<ItemStore, 'page' | 'byId'>;
  readonly log: Pick<Log, 'at'>;
  readonly firehose: Pick<Firehose, 'page' | 'byNumber' | 'between'>;
  readonly subscriptions: Pick<SubscriptionStore, 'countOfFeed' | 'ofJid'>;
  readonly policy: Policy;
}

// What a node without a limit in the request gives, and what it gives at most.
const ITEMS_DEFAULT = 20;
const ITEMS_MAX = 100;
// More than any node keeps.
const ALL = 10_000;

/** What there is, and what is in it (XEP-0060 5, 6.5). */
export function createReader(known: Nodes, deps: ReaderDeps) {
  const { items, log, firehose, subscriptions, policy } = deps;

  /** Reads what the log still has of these places. */
  async function published(places: readonly (Place & { readonly at?: number })[]): Promise<PublishedItem[]> {
    const records = await Promise.all(places.map(({ partition, id }) => log.at(partition, id)));
    return places.flatMap(({ number, id, at = committedAt(id) }, i) => {
      const record = records[i];
      if (!record || !('entry' in record)) return [];
      const { entry, source, url } = record;
      return [{ id: firehoseItemId(number), at, entry, source, url }];
    });
  }

  function inNode({ record }: Node, held: readonly Item[]): PublishedItem[] {
    return held.flatMap((item): PublishedItem[] => {
      if ('payload' in item) return [item];
      if (record.kind !== 'feed') return [];
      const { source = NO_SOURCE, url } = record.feed;
      return [{ ...item, source, url }];
    });
  }

  async function byId(node: Node, ids: readonly string[]): Promise<PublishedItem[]> {
    if (node.id !== FIREHOSE) return inNode(node, await items.byId(node.id, ids as ItemId[]));
    return published(await firehose.byNumber(ids.map(firehoseNumberIn).filter((number) => number !== undefined)));
  }

  async function pageOf(node: Node, ask: PageAsk, by?: Order['by']): Promise<Page<PublishedItem>> {
    if (node.id === FIREHOSE) {
      const { entries, ...page } = found(await firehose.page(ask));
      return { entries: await published(entries), ...page };
    }
    const { entries, ...page } = found(await items.page(node.id, ask, by));
    return { entries: inNode(node, entries), ...page };
  }

  /** The number of an item that the firehose must have. @throws Fault `item-not-found` */
  async function numberOf(id: string | undefined): Promise<number | undefined> {
    if (id === undefined) return undefined;
    const number = firehoseNumberIn(id);
    if (number === undefined || (await firehose.byNumber([number])).length === 0) throw notHeld();
    return number;
  }

  /** The past of the firehose goes by the times at which its items were numbered. */
  async function archivedHose({ start, end, afterId, beforeId, page }: ArchiveAsk): Promise<Page<PublishedItem>> {
    const [above, below] = await Promise.all([afterId, beforeId].map(numberOf));
    const { entries, ...rest } = found(await firehose.between(start, end, page, { above, below }));
    return { entries: await published(entries), ...rest };
  }

  /** Those of these items that there are, in the order of the past. */
  async function archivedById(node: Node, ids: ReadonlySet<string>): Promise<PublishedItem[]> {
    if (node.id !== FIREHOSE) return (await pageOf(node, { limit: ALL })).entries.filter(({ id }) => ids.has(id));
    const numbers = [...ids].map(firehoseNumberIn).filter((number) => number !== undefined);
    const each = numbers
      .sort((a, b) => a - b)
      .map((number) => firehose.between(undefined, undefined, { limit: 1 }, { above: number - 1, below: number + 1 }));
    return published((await Promise.all(each)).flatMap((page) => page?.entries ?? []));
  }

  async function archived(node: Node, ask: ArchiveAsk): Promise<Page<PublishedItem>> {
    const { start, end, page } = ask;
    if (node.id === FIREHOSE) return archivedHose(ask);
    const whole = (await pageOf(node, { limit: ALL })).entries;
    const from = ask.afterId === undefined ? 0 : placeIn(whole, ask.afterId) + 1;
    const to = ask.beforeId === undefined ? whole.length : placeIn(whole, ask.beforeId);
    const part = whole
      .slice(from, Math.max(from, to))
      .filter(({ at }) => at >= (start ?? 0) && at <= (end ?? Infinity));
    return pageIn(part, page, ({ id }) => id);
  }

  /** The node, for who may read it. @throws Fault as `items` */
  async function readable(name: string, requester: string): Promise<Node> {
    const node = await known.existing(name);
    await known.admitReader(node, requester);
    return node;
  }

  return {
    /** @throws Fault `node-not-found`, `gone` */
    async describe(name: string, requester: string): Promise<NodeDescription> {
      const node = await known.existing(name);
      const feed = node.record.kind === 'feed' ? node.record.feed : undefined;
      const [subscribers, affiliations, due, isOpen] = await Promise.all([
        subscriptions.countOfFeed(node.id),
        deps.nodes.affiliations(node.id),
        feed && deps.feeds.dueAt(feed.id),
        node.config.accessModel === 'whitelist' ? known.standing(node, requester).then((one) => isInside(one)) : true,
      ]);
      const all = (wanted: string) =>
        [...affiliations].filter(([, affiliation]) => affiliation === wanted).map(([jid]) => jid);
      const state = feed && { state: stateOf(feed, due) };
      return { node, subscribers, isOpen, owners: all('owner'), publishers: all('publisher'), ...state };
    },

    /**
     * The directory of nodes that everybody may see, the firehose before all others; the cursor is a NodeID.
     * @throws Fault `item-not-found` when the cursor is none
     */
    async directory({ page: { limit, after, before }, types }: DirectoryAsk): Promise<Page<Node>> {
      const hose = await known.byId(FIREHOSE);
      const isShown =
        hose?.config.accessModel !== 'whitelist' &&
        (!types || types.types.includes(hose?.config.type ?? '') !== types.isExcluding);
      const shown = isShown ? hose : undefined;
      const offset = shown ? 1 : 0;
      // A node that has gone since the last page still says where that page ended.
      const cursor = async (name: string) => (await known.find(name))?.id ?? feedIdIn(name) ?? ownNodeIdOf(name);
      const filter = types && { ...types, usual: policy.nodeType };
      const ask = async (page: PageAsk) => found(await deps.nodes.page(page, filter));
      // Before the firehose there is nothing; after it begins the rest.
      const isFirst = shown && after === undefined && before === undefined;
      if (before === FIREHOSE && shown) {
        const { count } = await ask({ limit: 0 });
        return { entries: [], index: 0, count: count + offset };
      }
      const page = await ask({
        limit: isFirst ? Math.max(0, limit - 1) : limit,
        ...(after !== undefined && after !== FIREHOSE && { after: await cursor(after) }),
        ...(before !== undefined && { before: before && (await cursor(before)) }),
      });
      const nodes = page.entries.map(known.view);
      const reachesTop = before !== undefined && page.index === 0 && nodes.length < limit;
      const withHose = shown && limit > 0 && (isFirst || reachesTop);
      return {
        entries: withHose ? [shown, ...nodes] : nodes,
        index: withHose ? 0 : page.index + offset,
        count: page.count + offset,
      };
    },

    /**
     * A page, or the newest `max`, or those asked for by id that there are; oldest first unless asked otherwise.
     * @throws Fault as `admitReader`; `subid-required`, `invalid-subid`; `unsupported` where no items are kept;
     *   `item-not-found` when the page's cursor is not held, or no longer, or nothing of what was asked for by id
     */
    async items({ requester, node: name, subid, max, ids, page, order }: ItemsAsk): Promise<ItemsAnswer> {
      const node = await known.existing(name);
      await Promise.all([known.admitReader(node, requester), checkSubid(node.id, requester, subid)]);
      if (!node.config.persistItems) {
        throw new Fault('unsupported', 'This node keeps no items', { feature: 'persistent-items' });
      }
      if (ids) {
        const items = await byId(node, ids.slice(0, ITEMS_MAX));
        if (items.length === 0) throw new Fault('item-not-found', 'The node holds none of these items');
        return { node, items };
      }
      const asked = { limit: ITEMS_DEFAULT, ...page };
      const limit = Math.min(max ?? asked.limit, page ? asked.limit : ITEMS_MAX, ITEMS_MAX);
      if (!order) {
        const { entries, ...where } = await pageOf(node, page ? { ...asked, limit } : { limit: cap(max), before: '' });
        return { node, items: entries, page: where };
      }
      const { entries, index, count } = await pageOf(
        node,
        order.newestFirst ? mirrored({ ...asked, limit }) : { ...asked, limit },
        order.by,
      );
      if (!order.newestFirst) return { node, items: entries, page: { index, count } };
      return { node, items: [...entries].reverse(), page: { index: count - index - entries.length, count } };
    },

    readable,

    /** A page of what the node holds, for its names only; no subscription is asked for. @throws Fault as `items` */
    async contents(name: string, requester: string, page: PageAsk | undefined): Promise<Page<PublishedItem>> {
      const node = await readable(name, requester);
      return pageOf(node, page ? { ...page, limit: cap(page.limit) } : { limit: ITEMS_DEFAULT, before: '' });
    },

    /**
     * A part of a node's past in the order of publishing.
     * @throws Fault as `items`
     */
    async archive(ask: ArchiveAsk): Promise<Page<PublishedItem> & { readonly node: Node }> {
      const node = await readable(ask.node, ask.requester);
      const page = { ...ask.page, limit: Math.min(ask.page.limit, ITEMS_MAX) };
      if (ask.ids) {
        const ids = new Set(ask.ids);
        const items = await archivedById(node, ids);
        // XEP-0313 4.1.3: all of them or an error.
        if (items.length < ids.size) throw new Fault('item-not-found', 'Not all of these items are held');
        return { node, ...pageIn(items, page, ({ id }) => id) };
      }
      return { node, ...(await archived(node, { ...ask, page })) };
    },

    /** The oldest and the newest item of a node's past (XEP-0313 5). @throws Fault as `items` */
    async archiveEnds(name: string, requester: string): Promise<readonly (PublishedItem | undefined)[]> {
      const node = await readable(name, requester);
      const end = async (ask: PageAsk) => (await archived(node, { requester, node: name, page: ask })).entries[0];
      return Promise.all([end({ limit: 1 }), end({ limit: 1, before: '' })]);
    },

    /** The newest item of a node, for who has just come. */
    async latest(node: Node): Promise<readonly PublishedItem[]> {
      return (await pageOf(node, { limit: 1, before: '' })).entries;
    },

    /** The items of the firehose with these ItemIDs, as far as it still has them. */
    async numbered(ids: readonly string[]): Promise<readonly PublishedItem[]> {
      return published(await firehose.byNumber(ids.map(firehoseNumberIn).filter((number) => number !== undefined)));
    },
  };

  /** XEP-0060 6.5.9.1 and 6.5.9.2: who holds several subscriptions says which one is asking. */
  async function checkSubid(id: NodeKey, requester: string, subid: string | undefined): Promise<void> {
    const { bare, full } = parseJid(requester);
    const [asBare, asFull] = await Promise.all([bare, full].map((jid) => subscriptions.ofJid(id, jid)));
    const held = [...(asBare ?? []), ...(full === bare ? [] : (asFull ?? []))];
    if (subid !== undefined) {
      if (held.length > 0 && !held.some((one) => one.subid === subid)) throw new Fault('invalid-subid');
    } else if ((asBare ?? []).length > 1 || (asFull ?? []).length > 1) {
      throw new Fault('subid-required', 'You hold several subscriptions here; say which one is asking');
    }
  }
}

const isInside = (standing: string) => ['owner', 'publisher', 'member'].includes(standing);

const cap = (max: number | undefined) => Math.min(max ?? ITEMS_DEFAULT, ITEMS_MAX);

/** The same part of a list that is read from its other end. */
function mirrored({ limit, after, before }: PageAsk): PageAsk {
  if (after !== undefined) return { limit, before: after };
  if (before === undefined) return { limit, before: '' };
  return before === '' ? { limit } : { limit, after: before };
}

/** A page of a list that is at hand. @throws Fault `item-not-found` */
export function pageIn<T>(list: readonly T[], { limit, after, before }: PageAsk, idOf: (one: T) => string): Page<T> {
  const place = (id: string) => {
    const index = list.findIndex((one) => idOf(one) === id);
    if (index < 0) throw new Fault('item-not-found', 'The page was to begin at something that is not there');
    return index;
  };
  const stop = before === undefined ? undefined : before === '' ? list.length : place(before);
  const start = stop !== undefined ? Math.max(0, stop - limit) : after === undefined ? 0 : place(after) + 1;
  return { entries: list.slice(start, stop ?? start + limit), index: start, count: list.length };
}

function placeIn(items: readonly PublishedItem[], id: string): number {
  const place = items.findIndex((item) => item.id === id);
  if (place < 0) throw notHeld();
  return place;
}

const notHeld = () => new Fault('item-not-found', 'The node does not hold that item');

function found<T>(page: Page<T> | undefined): Page<T> {
  if (!page) throw new Fault('item-not-found', 'The item that the page was to begin at is not held, or no longer');
  return page;
}

const NO_SOURCE: Source = { links: [], authors: [], categories: [] };
