import xml, { type Element } from '@xmpp/xml';
import type { FeedId, Firehose, Subscription } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import type { Ask, PubSub, PublishedItem } from '../../lib/pubsub.js';
import { Unprovable } from '../payload.js';
import { get, set, type Request, type Route, type Xep } from '../router.js';
import { attr, NS, optional, wholeNumber } from '../stanza.js';

export interface PubSubXepDeps {
  readonly service: PubSub;
  /** An item as it goes out. @throws Unprovable */
  readonly item: (item: PublishedItem, node: FeedId | Firehose) => Element;
  /** Sends the latest item of a node to a new subscriber. */
  readonly notify: (subscription: Subscription, item: PublishedItem) => Promise<void>;
}

// A reply may hold many items; together they stay well under what servers take (512 KiB by default).
const REPLY_MAX_BYTES = 240 * 1_024;

/** XEP-0060, subscriber side. Each verb: read the element, ask the service, render. */
export const pubsub = ({ service, item, notify }: PubSubXepDeps): Xep => ({
  features: [
    NS.pubsub,
    ...['subscribe', 'retrieve-subscriptions', 'retrieve-items', 'item-ids', 'persistent-items', 'meta-data'].map(
      feature,
    ),
    ...['last-published', 'auto-create', 'access-open', 'multi-items'].map(feature),
  ],
  routes: [
    set(NS.pubsub, 'subscribe', async (request) => {
      const { subscription, latest } = await service.subscribe(ask(request));
      return {
        payload: wrap(subscribed(subscription)),
        afterwards: async () => {
          for (const one of latest) await notify(subscription, one);
        },
      };
    }),
    set(NS.pubsub, 'unsubscribe', async (request) => {
      await service.unsubscribe(ask(request));
    }),
    get(NS.pubsub, 'subscriptions', async ({ from, action }) => {
      const node = optional(action, 'node');
      const held = await service.subscriptions(from, node);
      return wrap(xml('subscriptions', node === undefined ? {} : { node }, ...held.map(subscribed)));
    }),
    get(NS.pubsub, 'items', async ({ action }) => {
      const node = attr(action, 'node', 'node-required');
      const max = optional(action, 'max_items');
      const ids = action.getChildren('item').map((one) => attr(one, 'id', 'bad-request'));
      const { feed, items } = await service.items({
        node,
        ...(max !== undefined && { max: wholeNumber(max, 'max_items') }),
        ...(ids.length > 0 && { ids }),
      });
      return wrap(...fitting(node, items, (one) => item(one, feed)));
    }),
    ...REFUSED,
  ],
});

const feature = (name: string): string => `${NS.pubsub}#${name}`;

const ask = ({ from, action }: Request): Ask => ({
  requester: from,
  node: attr(action, 'node', 'node-required'),
  jid: attr(action, 'jid', 'jid-required'),
});

const subscribed = ({ node, jid }: Subscription): Element =>
  xml('subscription', { node, jid, subscription: 'subscribed' });

const wrap = (...children: readonly Element[]): Element => xml('pubsub', { xmlns: NS.pubsub }, ...children);

/** As many as fit, and where they were cut, the XEP-0059 set that says so. */
function fitting(node: string, found: readonly PublishedItem[], render: (item: PublishedItem) => Element): Element[] {
  const items: Element[] = [];
  let bytes = 0;
  for (const one of found) {
    try {
      const element = render(one);
      bytes += Buffer.byteLength(element.toString());
      if (bytes > REPLY_MAX_BYTES && items.length > 0) break;
      items.push(element);
    } catch (error) {
      // Delivery reports and quarantines it; here it must not cost the other items.
      if (!(error instanceof Unprovable)) throw error;
    }
  }
  const reply = xml('items', { node }, ...items);
  const [first, last] = [items[0], items.at(-1)];
  if (items.length === found.length || !first || !last) return [reply];
  const id = (element: Element) => String(element.attrs['id']);
  const count = String(found.length);
  return [
    reply,
    xml(
      'set',
      { xmlns: NS.rsm },
      xml('first', { index: '0' }, id(first)),
      xml('last', {}, id(last)),
      xml('count', {}, count),
    ),
  ];
}

/** Verbs of XEP-0060 that are not offered, each with the feature that its refusal names. */
const REFUSED: readonly Route[] = [
  refuse('get', NS.pubsub, 'options', 'subscription-options'),
  refuse('set', NS.pubsub, 'options', 'subscription-options'),
  refuse('get', NS.pubsub, 'default', 'retrieve-default-sub'),
  refuse('get', NS.pubsub, 'affiliations', 'retrieve-affiliations'),
  refuse('set', NS.pubsub, 'create', 'create-nodes'),
  refuse('set', NS.pubsub, 'publish', 'publish'),
  refuse('set', NS.pubsub, 'retract', 'retract-items'),
  refuse('get', NS.pubsubOwner, 'configure', 'config-node'),
  refuse('set', NS.pubsubOwner, 'configure', 'config-node'),
  refuse('get', NS.pubsubOwner, 'default', 'retrieve-default'),
  refuse('set', NS.pubsubOwner, 'delete', 'delete-nodes'),
  refuse('set', NS.pubsubOwner, 'purge', 'purge-nodes'),
  refuse('get', NS.pubsubOwner, 'subscriptions', 'manage-subscriptions'),
  refuse('set', NS.pubsubOwner, 'subscriptions', 'manage-subscriptions'),
  refuse('get', NS.pubsubOwner, 'affiliations', 'modify-affiliations'),
  refuse('set', NS.pubsubOwner, 'affiliations', 'modify-affiliations'),
];

function refuse(type: Route['type'], ns: string, name: string, wanted: string): Route {
  const answer = () => {
    throw new Fault('unsupported', undefined, { feature: wanted });
  };
  return { type, ns, name, answer };
}
