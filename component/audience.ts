import { LRUCache } from 'lru-cache';
import { FIREHOSE, type ItemId, type NodeKey, type Subscription } from '../lib/domain.js';
import { indexEntry, indexPayload, matches, parseFilter, type Filter, type IndexedEntry } from '../lib/filter.js';
import { defaultOptions, type Options } from '../lib/options.js';
import type { Node } from '../lib/pubsub/nodes.js';
import type { PublishedItem } from '../lib/pubsub/reader.js';
import type { DigestStore } from '../lib/store/digests.js';
import { firehoseItemId } from '../lib/store/firehose.js';
import type { LimitStore } from '../lib/store/limits.js';
import { committedAt, type LogRecord, type NoticeRecord } from '../lib/store/log.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import { bodyOf } from './body.js';
import { serialise } from './connection.js';
import { attributes, type Events } from './event.js';
import { publishedLongBefore } from './old-find.js';
import type { Presences } from './presence.js';
import { mannerOf, type createRooms } from './rooms.js';
import { statusBody, statusElement } from './status.js';

export interface AudienceDeps {
  readonly subscriptions: Pick<SubscriptionStore, 'ofFeed' | 'departed'>;
  /** A node as it is configured now. */
  readonly node: (id: NodeKey) => Promise<Node | undefined>;
  readonly digests: Pick<DigestStore, 'hold'>;
  readonly limits: Pick<LimitStore, 'allow'>;
  readonly presences: Pick<Presences, 'shows'>;
  readonly rooms: Pick<ReturnType<typeof createRooms>, 'ready'>;
  readonly events: Events;
  /** The configuration of a node as a form for its subscribers, as XML text. */
  readonly configuration: (node: Node) => string;
  readonly now: () => number;
}

/** Makes the stanzas of records, reading each short list of subscribers once. */
export interface Audience {
  /** Whether an entry of this node goes to the firehose. */
  isPublic(id: NodeKey): Promise<boolean>;
  /** One record's stanzas: for those who follow its node, then, under its number, for those who drink the firehose. */
  stanzasFor(record: LogRecord, number: number | undefined): AsyncIterable<string>;
}

/** What is sent to one JID: what several of its subscriptions want together. */
interface View {
  readonly to: string;
  readonly node: string;
  readonly type: Options['messageType'] | 'groupchat';
  readonly hasBody: boolean;
  readonly hasPayload: boolean;
  /** All that matched, when the JID holds more than one. */
  readonly subids: readonly string[];
}

/** What a record is, for one node: how to tell it, and to whom. */
interface Telling {
  readonly id: string;
  readonly node: Node;
  /** The inside of <event/>; none for what is only told beside it. */
  readonly event?: (view: View) => string;
  readonly more?: string;
  readonly body?: () => string | undefined;
  /** Whether this is for somebody with these options, before the rules that hold for everything. */
  readonly isFor?: (options: Options) => boolean;
  /** For digests and daily limits, which know only items; that something has happened is nothing to be collected. */
  readonly item?: { readonly ref: string; readonly canWait: boolean };
  /** Whether it depends on the subscription, so that who holds several is told which (XEP-0060 13.16). */
  readonly hasSubids?: boolean;
  readonly collection?: string;
  /** Told as something old, however soon it is told. */
  readonly isOld?: boolean;
  /** When it came out (ms since 1970), where that was long before it was committed. */
  readonly published?: number | undefined;
  /** Told to those too who wait for approval. */
  readonly isForPending?: boolean;
}

type Pages = AsyncIterable<readonly Subscription[]> | Iterable<readonly Subscription[]>;

// What has waited longer than this says when it was committed.
const LATE_MS = 60_000;
// Of one stanza; every server takes so much, and the envelope.
const RETRACTIONS_BYTES = 32_768;
const TYPES: readonly View['type'][] = ['headline', 'normal', 'chat', 'groupchat'];

export function createAudiences(deps: AudienceDeps): () => Audience {
  const { subscriptions, node: nodeOf, digests, limits, presences, rooms, events, now } = deps;
  const filters = new LRUCache<string, Filter>({ max: 1_000 });

  function filterOf(text: string): Filter {
    const filter = filters.get(text) ?? parseFilter(text);
    filters.set(text, filter);
    return filter;
  }

  function isThere({ showValues }: Options, { presenceBasedDelivery }: Node['config'], jid: string): boolean {
    if (showValues.length === 0 && !presenceBasedDelivery) return true;
    const shows = presences.shows(jid);
    return showValues.length === 0 ? shows.length > 0 : shows.some((show) => showValues.includes(show));
  }

  /** What one JID is sent; what goes into a digest is put there. */
  async function viewFor(
    held: readonly Subscription[],
    { node, isFor, item, hasSubids = false, isForPending = false }: Telling,
    indexed: () => IndexedEntry,
  ): Promise<View | undefined> {
    const matching: { readonly subscription: Subscription; readonly options: Options }[] = [];
    const defaults = defaultOptions(node.config);
    for (const subscription of held) {
      const options = { ...defaults, ...subscription.options };
      const { deliver, expire, filter, digest, dailyLimit } = options;
      if ((subscription.state !== 'subscribed' && !isForPending) || !deliver) continue;
      if (typeof expire === 'number' && expire <= now()) continue;
      if (isFor && !isFor(options)) continue;
      if (item && filter && !matches(filterOf(filter), indexed())) continue;
      if (item?.canWait && digest) {
        await digests.hold(subscription, [item.ref], options.digestFrequency);
        continue;
      }
      if (!isThere(options, node.config, subscription.jid)) continue;
      if (item && dailyLimit > 0 && !(await limits.allow(subscription, item.ref, dailyLimit))) continue;
      matching.push({ subscription, options });
    }
    const [first] = matching;
    if (!first) return undefined;
    const manners = matching.map(({ subscription, options }) => mannerOf(subscription, options));
    return {
      to: first.subscription.jid,
      node: first.subscription.node,
      type: TYPES.findLast((type) => manners.some((manner) => manner.type === type)) ?? 'headline',
      hasBody: manners.some((manner) => manner.hasBody),
      hasPayload: matching.some(({ options }) => options.payload),
      subids: hasSubids && held.length > 1 ? matching.map(({ subscription }) => subscription.subid) : [],
    };
  }

  /** The same thing told to everybody whom it is for. */
  async function* tell(telling: Telling, pages: Pages, committed: number, indexed: () => IndexedEntry) {
    if (!telling.node.config.deliverNotifications) return;
    const isLate = telling.isOld || now() - committed > LATE_MS;
    const delay = telling.published ?? (isLate ? committed : undefined);
    const known = new Map<string, string>();
    for await (const held of byJid(pages)) {
      const view = await viewFor(held, telling, indexed);
      if (!view) continue;
      const { to, node, type, hasBody, hasPayload, subids } = view;
      const { event, id, more, body, collection } = telling;
      // Most subscribers of a node differ in nothing but their address.
      const key = `${node} ${hasPayload}`;
      const inside = known.get(key) ?? event?.(view);
      if (inside !== undefined) known.set(key, inside);
      const message = events.message({
        ...{ to, type, id, subids, delay, more, collection },
        ...(inside !== undefined && { event: inside }),
        ...(hasBody && { body: body?.() }),
      });
      if (!message) continue;
      if (type === 'groupchat') await rooms.ready(to);
      yield message;
    }
  }

  function notice(record: NoticeRecord, node: Node): Omit<Telling, 'id' | 'node'> {
    switch (record.kind) {
      case 'retracted': {
        const retractions = record.items.map((id) => `<retract${attributes({ id })}/>`).join('');
        return { event: (view) => events.items(view.node, retractions), hasSubids: true };
      }
      case 'purged':
        return { event: (view) => `<purge${attributes({ node: view.node })}/>` };
      case 'configured': {
        const form = node.config.deliverPayloads ? deps.configuration(node) : '';
        return { event: (view) => `<configuration${attributes({ node: view.node })}>${form}</configuration>` };
      }
      case 'deleted': {
        const { successor } = record;
        const redirect = successor && 'uri' in successor ? `<redirect${attributes({ uri: successor.uri })}/>` : '';
        return { event: (view) => `<delete${attributes({ node: view.node })}>${redirect}</delete>` };
      }
      case 'status': {
        const { status, url } = record;
        const isQuiet = (status.state === 'failing' || status.state === 'well') && !status.lasting;
        return {
          more: serialise(statusElement(url, status)),
          body: () => statusBody(node.config.title, status),
          isFor: (options) => options.status === 'all' || (options.status === 'errors' && !isQuiet),
        };
      }
    }
  }

  /** A node that is no longer there cannot say how it was configured: what its subscribers chose holds. */
  async function* tellOfEnd(record: Extract<NoticeRecord, { kind: 'deleted' }>, id: string, at: number, node?: Node) {
    const { successor } = record;
    const moved = successor && 'node' in successor ? await nodeOf(successor.node) : undefined;
    const stand = moved ?? node ?? (await nodeOf(FIREHOSE));
    if (!stand) return;
    const url = moved?.record.kind === 'feed' ? moved.record.feed.url : undefined;
    // Who follows a feed that has moved goes on following it: no end, but a change of state.
    const told = url
      ? notice({ ...record, kind: 'status', url, status: { state: 'moved', to: url } }, stand)
      : notice(record, stand);
    const config = { ...stand.config, deliverNotifications: true, presenceBasedDelivery: false };
    const telling = { id, node: { ...stand, config }, ...told, isForPending: url === undefined };
    yield* tell(telling, subscriptions.departed(record), at, neverIndexed);
  }

  function items(
    node: Node,
    item: PublishedItem,
    ref: string,
    isFirehose: boolean,
  ): Pick<Telling, 'node' | 'event' | 'body' | 'item' | 'hasSubids'> {
    const inner = (hasPayload: boolean) =>
      item.id === '' ? '' : hasPayload ? events.item(item, isFirehose ? FIREHOSE : node.id) : events.name(item);
    return {
      node,
      event: (view) => events.items(view.node, inner(view.hasPayload)),
      body: () => bodyOf(item),
      item: { ref, canWait: item.id !== '' },
      hasSubids: true,
    };
  }

  return () => {
    const audienceOf = createLists(subscriptions);

    async function* stanzasFor(record: LogRecord, number: number | undefined): AsyncGenerator<string> {
      const id = `${record.partition}-${record.id}`;
      const at = committedAt(record.id);
      const node = await nodeOf(record.feed);

      if (record.kind === 'deleted') {
        if (record.announce) yield* tellOfEnd(record, id, at, node);
        return;
      }
      if ('entry' in record || 'payload' in record) {
        const item: PublishedItem =
          'entry' in record
            ? { id: record.item, at, entry: record.entry, source: record.source, url: record.url }
            : { id: record.item, at, payload: record.payload, publisher: record.publisher };
        const isEdit = record.kind === 'edited';
        const published = 'entry' in record ? publishedLongBefore(record.entry, at, isEdit) : undefined;
        let index: IndexedEntry | undefined;
        const indexed = () => (index ??= 'entry' in item ? indexEntry(item) : indexPayload(item.payload));
        if (node) {
          // What was there before somebody came is no news.
          const telling = { id, ...items(node, item, record.id, false), isOld: record.kind === 'first', published };
          yield* tell(telling, audienceOf(record.feed), at, indexed);
        }
        const hose = number === undefined ? undefined : await nodeOf(FIREHOSE);
        if (number === undefined || !hose) return;
        const numbered = firehoseItemId(number);
        const telling = { id: `${id}-${FIREHOSE}`, ...items(hose, { ...item, id: numbered }, numbered, true) };
        yield* tell({ ...telling, published, collection: FIREHOSE }, audienceOf(FIREHOSE), at, indexed);
        return;
      }
      if (!node) return;
      for (const [i, part] of [...fitting(record)].entries()) {
        const telling = { id: i === 0 ? id : `${id}-${i}`, node, ...notice(part, node) };
        yield* tell(telling, audienceOf(record.feed), at, neverIndexed);
      }
    }

    return {
      stanzasFor,
      async isPublic(id) {
        return (await nodeOf(id))?.config.accessModel === 'open';
      },
    };
  };
}

const neverIndexed = (): IndexedEntry => {
  throw new Error('a notice has no entry');
};

/** A notice in as many as it takes: what is retracted at once may be more than fits into one stanza. */
function* fitting(record: NoticeRecord): Generator<NoticeRecord> {
  if (record.kind !== 'retracted') {
    yield record;
    return;
  }
  let items: ItemId[] = [];
  let bytes = 0;
  for (const item of record.items) {
    const more = Buffer.byteLength(`<retract${attributes({ id: item })}/>`);
    if (bytes + more > RETRACTIONS_BYTES) {
      yield { ...record, items };
      [items, bytes] = [[], 0];
    }
    items.push(item);
    bytes += more;
  }
  yield { ...record, items };
}

/** All that one JID holds, together: lists are ordered by JID. */
async function* byJid(pages: Pages): AsyncGenerator<readonly Subscription[]> {
  let held: Subscription[] = [];
  for await (const page of pages) {
    for (const one of page) {
      if (held[0] && held[0].jid !== one.jid) {
        yield held;
        held = [];
      }
      held.push(one);
    }
  }
  if (held.length > 0) yield held;
}

/** Reads each list of subscribers once, as long as it is short; long ones are read in pages every time. */
function createLists(subscriptions: Pick<SubscriptionStore, 'ofFeed'>): (node: NodeKey) => Pages {
  const short = new Map<NodeKey, readonly (readonly Subscription[])[]>();
  return (node) => {
    const known = short.get(node);
    return known ?? read(node);
  };

  async function* read(node: NodeKey) {
    const pages: (readonly Subscription[])[] = [];
    for await (const page of subscriptions.ofFeed(node)) {
      if (pages.length < 2) pages.push(page);
      yield page;
    }
    if (pages.length < 2) short.set(node, pages);
  }
}
