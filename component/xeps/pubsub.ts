import xml, { type Element } from '@xmpp/xml';
import type { FeedId, Firehose, PageAsk, Subscription } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import type { Ask, ItemsAnswer, PubSub, PublishedItem } from '../../lib/pubsub.js';
import { Unprovable } from '../payload.js';
import { get, set, type Request, type Route, type Xep } from '../router.js';
import { pageElement, readPage } from '../rsm.js';
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
const ITEMS_PER_PAGE = 20;

/** XEP-0060, subscriber side. Each verb: read the element, ask the service, render. */
export const pubsub = ({ service, item, notify }: PubSubXepDeps): Xep => ({
  features: [
    NS.pubsub,
    ...['subscribe', 'retrieve-subscriptions', 'retrieve-items', 'item-ids', 'persistent-items', 'meta-data'].map(
      feature,
    ),
    ...['last-published', 'auto-create', 'access-open', 'multi-items', 'rsm'].map(feature),
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
    get(NS.pubsub, 'items', async ({ action, payload }) => {
      const node = attr(action, 'node', 'node-required');
      const max = optional(action, 'max_items');
      const ids = action.getChildren('item').map((one) => attr(one, 'id', 'bad-request'));
      // XEP-0060 6.5.4: the <set/> is a sibling of <items/>.
      const page = readPage(payload, ITEMS_PER_PAGE);
      const answer = await service.items({
        node,
        ...(max !== undefined && { max: wholeNumber(max, 'max_items') }),
        ...(ids.length > 0 && { ids }),
        ...(page && { page }),
      });
      return itemsElement(node, answer, page, item);
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

/**
 * The items as far as they fit into one stanza, with the XEP-0059 set where a page was asked for or something was left
 * out. What lies at the far end of the page is left out first: the oldest, unless the page goes forward.
 */
function itemsElement(
  node: string,
  { feed, items, page }: ItemsAnswer,
  asked: PageAsk | undefined,
  render: PubSubXepDeps['item'],
): Element {
  const forward = asked && asked.before === undefined;
  const fitting: Element[] = [];
  let bytes = 0;
  let left = 0;
  for (const one of forward ? items : [...items].reverse()) {
    try {
      const element = left > 0 ? undefined : render(one, feed);
      bytes += element ? Buffer.byteLength(element.toString()) : 0;
      if (!element || (bytes > REPLY_MAX_BYTES && fitting.length > 0)) left++;
      else fitting.push(element);
    } catch (error) {
      // Delivery reports and quarantines it; here it must not cost the other items.
      if (!(error instanceof Unprovable)) throw error;
    }
  }
  if (!forward) fitting.reverse();
  const reply = xml('items', { node }, ...fitting);
  if (!asked && left === 0) return wrap(reply);
  const where = page ? { index: page.index + (forward ? 0 : left), count: page.count } : {};
  return wrap(
    reply,
    pageElement(
      fitting.map(({ attrs }) => String(attrs['id'])),
      where,
    ),
  );
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
