import { FIREHOSE, parseJid, type FeedId, type ItemId } from '../domain.js';
import { Fault } from '../faults.js';
import type { Submitted } from '../fields.js';
import { configFields, readConfig, unknownFields, type ConfigOverrides } from '../node-config.js';
import type { PushResult } from '../queues.js';
import type { ItemStore } from '../store/items.js';
import type { SubscriptionStore } from '../store/subscriptions.js';
import { isUrl, type Node, type Nodes } from './nodes.js';

export interface PublishAsk {
  readonly requester: string;
  readonly node: string;
  /** None in a request that only says that something has happened; several are published together or not at all. */
  readonly items: readonly {
    readonly id?: string;
    /** XML text of each child element, proven to parse on its own. */
    readonly payloads: readonly string[];
  }[];
  /** Preconditions (XEP-0060 7.1.5). */
  readonly options?: Submitted;
}

export interface RetractAsk {
  readonly requester: string;
  readonly node: string;
  readonly ids: readonly string[];
  /** Whether subscribers are told even where the node does not. */
  readonly notify: boolean;
}

export interface PublisherDeps {
  readonly items: Pick<ItemStore, 'publish' | 'retract' | 'byId'>;
  readonly subscriptions: Pick<SubscriptionStore, 'ofPerson'>;
  /** Puts entries on a feed's node as if the feed had shown them; undefined when there was no answer in time. */
  readonly push: (feed: FeedId, entries: readonly string[]) => Promise<PushResult | undefined>;
  /** Makes a node with this configuration (XEP-0060 7.1.4). @throws Fault */
  readonly create: (name: string, requester: string, config: ConfigOverrides) => Promise<Node>;
  readonly newId: () => string;
}

const ITEM_ID_MAX = 256;

/** What a publisher does (XEP-0060 7). */
export function createPublisher(known: Nodes, { items, subscriptions, push, create, newId }: PublisherDeps) {
  async function mayPublish(node: Node, requester: string): Promise<boolean> {
    const standing = await known.standing(node, requester);
    if (standing === 'owner') return true;
    if (node.kind === 'feed' || standing === 'outcast') return false;
    if (standing === 'publisher' || standing === 'publish-only') return true;
    if (node.config.publishModel === 'open') return true;
    if (node.config.publishModel === 'publishers') return false;
    const held = await subscriptions.ofPerson(requester);
    return held.some(({ feed, state }) => feed === node.id && state === 'subscribed');
  }

  /** The node, made where it is not there yet and the requester may make it (XEP-0060 7.1.4). */
  async function target({ requester, node: name, options }: PublishAsk): Promise<Node> {
    const unknown = options ? unknownFields(options) : [];
    if (unknown.length > 0) {
      throw new Fault('precondition-not-met', `${unknown.join(', ')}: unknown, so it cannot be made sure of`);
    }
    const found = await known.find(name);
    if (!found) {
      if (isUrl(name) || !known.isAdmin(requester)) return known.existing(name);
      return create(name, requester, options ? readConfig('own', options) : {});
    }
    if (!(await mayPublish(found, requester))) throw new Fault('forbidden', 'You may not publish here');
    if (options) checkPreconditions(found, options);
    return found;
  }

  return {
    /**
     * Publishes, and tells what the ItemIDs are; on a feed's node the entries' own ids decide them.
     * @throws Fault as XEP-0060 7.1.3 and 13.11 have them, `precondition-not-met`
     */
    async publish(ask: PublishAsk): Promise<readonly ItemId[]> {
      const { requester, items: given } = ask;
      if (ask.node === FIREHOSE) {
        throw new Fault('unsupported', 'Nobody publishes on the firehose itself', { feature: 'publish' });
      }
      const node = await target(ask);
      const { persistItems: persist, deliverPayloads, maxItems, notifyRetract } = node.config;
      if (given.length === 0 && (persist || deliverPayloads)) throw new Fault('item-required');
      if (given.length > 0 && !persist && !deliverPayloads) {
        throw new Fault('item-forbidden', 'This node only says that something has happened');
      }
      if (persist && given.length > maxItems) throw new Fault('too-many-items', `The node keeps ${maxItems} items`);
      const payloads = given.map(({ payloads: [payload = '', ...more] }) => {
        if (more.length > 0) throw new Fault('invalid-payload', 'An item has one payload');
        if (payload === '' && (deliverPayloads || node.kind === 'feed')) throw new Fault('payload-required');
        checkSize(payload, node);
        return payload;
      });
      if (node.record.kind === 'feed') return pushed(await push(node.record.id, payloads));
      const publisher = parseJid(requester).bare;
      const ready = given.map(({ id = newId() }, i) => ({ id: itemId(id), payload: payloads[i] ?? '', publisher }));
      const event = { id: '' as ItemId, payload: '', publisher };
      const how = { persist, keep: maxItems, announce: notifyRetract };
      const there = await items.publish(node.id as FeedId, ready.length > 0 ? ready : [event], how);
      if (!there) await known.existing(ask.node);
      return ready.map(({ id }) => id);
    },

    /** Takes items away (XEP-0060 7.2). @throws Fault as XEP-0060 7.2.3 has them */
    async retract({ requester, node: name, ids, notify }: RetractAsk): Promise<void> {
      const node = await known.existing(name);
      if (node.id === FIREHOSE) {
        throw new Fault('unsupported', 'The firehose keeps what it has carried', { feature: 'retract-items' });
      }
      const standing = await known.standing(node, requester);
      const isEditor = standing === 'owner' || (standing === 'publisher' && node.kind === 'own');
      if (!isEditor && (node.kind === 'feed' || standing === 'outcast')) throw new Fault('forbidden');
      if (!node.config.persistItems) {
        throw new Fault('unsupported', 'This node keeps no items', { feature: 'persistent-items' });
      }
      const wanted = [...new Set(ids)] as ItemId[];
      const held = await items.byId(node.id, wanted);
      if (!isEditor) {
        // Who may only publish may take back what is their own.
        const { bare } = parseJid(requester);
        if (held.length === 0 || held.some((item) => !('publisher' in item) || item.publisher !== bare)) {
          throw new Fault('forbidden', 'You may take back only what you have published');
        }
      }
      if (held.length < wanted.length) throw new Fault('item-not-found', 'The node holds no such item');
      await items.retract(node.id, wanted, notify || node.config.notifyRetract);
    },
  };
}

function itemId(text: string): ItemId {
  if (text === '' || text.length > ITEM_ID_MAX || /[\p{Cc}\p{Cs}]/u.test(text)) {
    throw new Fault('bad-request', `An ItemID has 1 to ${ITEM_ID_MAX} characters`);
  }
  return text as ItemId;
}

function checkSize(payload: string, { config: { maxPayloadSize } }: Node): void {
  const size = Buffer.byteLength(payload);
  if (size > maxPayloadSize) {
    throw new Fault('payload-too-big', `The payload has ${size} bytes, more than ${maxPayloadSize}`);
  }
}

function pushed(result: PushResult | undefined): readonly ItemId[] {
  if (!result) throw new Fault('unavailable', 'The entry could not be read in time; try again');
  if (result.kind === 'refused') throw new Fault('invalid-payload', result.text);
  return result.items;
}

/** XEP-0060 7.1.5: what is asked for must be so. @throws Fault `precondition-not-met` */
function checkPreconditions({ config }: Node, options: Submitted): void {
  const wanted = met(() => readConfig('own', options));
  const fields = configFields('own');
  for (const [key, value] of Object.entries(wanted)) {
    const name = key as keyof ConfigOverrides;
    if (JSON.stringify(config[name]) !== JSON.stringify(value)) {
      throw new Fault('precondition-not-met', `${fields[name]?.name ?? name} is not so`);
    }
  }
}

/** What no node here can be, this node is not. */
function met<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof Fault ? new Fault('precondition-not-met', error.message) : error;
  }
}
