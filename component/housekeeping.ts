import xml from '@xmpp/xml';
import { FIREHOSE, type SubscriptionKey } from '../lib/domain.js';
import type { Emit } from '../lib/events.js';
import { defaultOptions, type Options } from '../lib/options.js';
import type { Node } from '../lib/pubsub/nodes.js';
import type { PublishedItem } from '../lib/pubsub/reader.js';
import type { DigestStore } from '../lib/store/digests.js';
import { RETRACT_AT_ONCE, type ItemStore } from '../lib/store/items.js';
import { committedAt, type Log } from '../lib/store/log.js';
import type { NodeStore } from '../lib/store/nodes.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import { bodyOf } from './body.js';
import type { Connection } from './connection.js';
import type { Events } from './event.js';
import { subscriptionNotice } from './notices.js';
import { Unprovable } from './payload.js';
import { mannerOf, type createRooms } from './rooms.js';

export interface HousekeepingDeps {
  readonly digests: DigestStore;
  readonly subscriptions: Pick<SubscriptionStore, 'get' | 'remove' | 'expired'>;
  readonly items: Pick<ItemStore, 'retractOlder'>;
  readonly nodes: Pick<NodeStore, 'expiring'>;
  readonly log: Pick<Log, 'at' | 'partitionOf'>;
  readonly node: (id: SubscriptionKey['feed']) => Promise<Node | undefined>;
  /** The items of the firehose with these ItemIDs. */
  readonly numbered: (ids: readonly string[]) => Promise<readonly PublishedItem[]>;
  readonly connection: Pick<Connection, 'up' | 'write' | 'confirm'>;
  readonly rooms: Pick<ReturnType<typeof createRooms>, 'ready'>;
  readonly events: Events;
  readonly emit: Emit;
  readonly now: () => number;
  /** Of a whole stanza, in bytes. */
  readonly maxBytes: number;
}

const LOOK_MS = 500;
const AT_ONCE = 100;
// Of one digest, and of one message of it: what is in the envelope stays well below the limit.
const DIGEST_MOST = 500;
const ENVELOPE_BYTES = 4_096;

/** What falls due with time: digests, the end of subscriptions and of items. Runs in the one process that holds the address. */
export function createHousekeeping(deps: HousekeepingDeps) {
  const { digests, subscriptions, items, nodes, log, connection, events, emit } = deps;
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();
  let stopped = true;

  /** What a digest holds, as far as it is still to be had. */
  async function itemsOf(key: SubscriptionKey, refs: readonly string[]): Promise<readonly PublishedItem[]> {
    if (key.feed === FIREHOSE) return deps.numbered(refs);
    const partition = log.partitionOf(key.feed);
    const records = await Promise.all(refs.map((ref) => log.at(partition, ref)));
    return records.flatMap((record): PublishedItem[] => {
      if (!record) return [];
      const at = committedAt(record.id);
      if ('entry' in record) {
        return [{ id: record.item, at, entry: record.entry, source: record.source, url: record.url }];
      }
      return 'payload' in record ? [{ id: record.item, at, payload: record.payload, publisher: record.publisher }] : [];
    });
  }

  async function sendDigest(key: SubscriptionKey): Promise<void> {
    const refs = await digests.held(key, DIGEST_MOST);
    const last = refs.at(-1);
    if (last === undefined) return;
    const [subscription, node] = await Promise.all([subscriptions.get(key), deps.node(key.feed)]);
    // A digest that is no longer wanted ends with what it holds.
    if (subscription?.options.deliver !== false && subscription && node?.config.deliverNotifications) {
      const options = { ...defaultOptions(node.config), ...subscription.options };
      const found = await itemsOf(key, refs);
      const { type, hasBody } = mannerOf(subscription, options);
      const stanzas = parts(found, key.feed, { ...options, includeBody: hasBody }).map(({ inner, bodies, since }, i) =>
        events.message({
          to: subscription.jid,
          type,
          id: `digest-${refs[0] ?? ''}-${last}-${i}`,
          event: events.items(subscription.node, inner),
          delay: since,
          body: bodies.join('\n\n'),
        }),
      );
      if (type === 'groupchat') await deps.rooms.ready(subscription.jid);
      if (stanzas.length > 0) await Promise.all([connection.write(stanzas.join('')), connection.confirm()]);
      emit('digest', { items: found.length });
    }
    await digests.release(key, last);
  }

  /** As many items in one message as fit, with what chat clients show of them. */
  function parts(found: readonly PublishedItem[], node: SubscriptionKey['feed'], { payload, includeBody }: Options) {
    const messages: { inner: string; bytes: number; bodies: string[]; readonly since: number }[] = [];
    for (const item of found) {
      const text = rendered(item, node, payload);
      if (!text) continue;
      const body = (includeBody && bodyOf(item)) || '';
      const bytes = Buffer.byteLength(text) + Buffer.byteLength(xml.escapeXMLText(body));
      let open = messages.at(-1);
      if (!open || open.bytes + bytes > deps.maxBytes - ENVELOPE_BYTES) {
        open = { inner: '', bytes: 0, bodies: [], since: item.at };
        messages.push(open);
      }
      open.inner += text;
      open.bytes += bytes;
      if (body) open.bodies.push(body);
    }
    return messages;
  }

  function rendered(item: PublishedItem, node: SubscriptionKey['feed'], hasPayload: boolean): string {
    try {
      return hasPayload ? events.item(item, node) : events.name(item);
    } catch (error) {
      // Delivery reports and quarantines it; here it must not cost the other items.
      if (!(error instanceof Unprovable)) throw error;
      return '';
    }
  }

  async function endLease(key: SubscriptionKey): Promise<void> {
    const subscription = await subscriptions.get(key);
    const end = subscription?.options.expire;
    // It may have been renewed while others were seen to.
    if (typeof end === 'number' && end > deps.now()) return;
    await subscriptions.remove(key);
    if (subscription) await connection.write(subscriptionNotice(events, { to: key.jid, subscription, state: 'none' }));
  }

  async function expireItems({ id, seconds }: { id: Parameters<ItemStore['retractOlder']>[0]; seconds: number }) {
    const announce = (await deps.node(id))?.config.notifyRetract ?? false;
    while ((await items.retractOlder(id, seconds * 1_000, announce)) === RETRACT_AT_ONCE && !stopped);
  }

  async function look(): Promise<void> {
    if (!connection.up) return;
    const [digestsDue, leases, nodesDue] = await Promise.all([
      digests.due(AT_ONCE),
      subscriptions.expired(AT_ONCE),
      nodes.expiring(AT_ONCE),
    ]);
    for (const key of digestsDue) if (!stopped) await sendDigest(key);
    for (const key of leases) if (!stopped) await endLease(key);
    for (const node of nodesDue) if (!stopped) await expireItems(node);
  }

  function next(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      turn = look()
        // The stream or Redis is away for a moment: what is due stays due.
        .catch((error: unknown) => emit('warning', { text: `housekeeping: ${String(error)}` }))
        .then(next);
    }, LOOK_MS);
  }

  return {
    start(): void {
      if (!stopped) return;
      stopped = false;
      next();
    },
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await turn;
    },
  };
}
