import xml, { type Element } from '@xmpp/xml';
import type { FeedId, NodeKey, PageAsk } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import { OPTION_FIELDS, type Options } from '../../lib/options.js';
import type { PubSub } from '../../lib/pubsub.js';
import type { Order, ItemsAnswer, PublishedItem } from '../../lib/pubsub/reader.js';
import type { Ask, Notice } from '../../lib/pubsub/subscriber.js';
import type { Events } from '../event.js';
import { formElement, readForm } from '../forms.js';
import { Unprovable } from '../payload.js';
import { AVATAR_DATA, AVATAR_METADATA, pictureData, pictureItem, type Pictures } from '../picture.js';
import { get, set, type Reply, type Request, type Xep } from '../router.js';
import { pageElement, readPage } from '../rsm.js';
import { setOf, subscriptionElement } from '../lists.js';
import { attr, flagOf, NS, optional, ready, wholeNumber } from '../stanza.js';

export interface PubSubXepDeps {
  readonly service: Pick<
    PubSub,
    | 'subscribe'
    | 'unsubscribe'
    | 'options'
    | 'configureSubscription'
    | 'defaultOptions'
    | 'subscriptions'
    | 'affiliations'
    | 'items'
    | 'readable'
  >;
  readonly events: Pick<Events, 'item'>;
  /** Tells people what others have to know of what was done. */
  readonly tell: (notices: readonly Notice[]) => Promise<void>;
  readonly pictures: Pictures;
}

// A reply may hold many items; together they stay well under what servers take (512 KiB by default).
const REPLY_MAX_BYTES = 240 * 1_024;
const ITEMS_PER_PAGE = 20;
const LIST_PAGE = 500;
const OPTIONS_FORM = `${NS.pubsub}#subscribe_options`;

/** XEP-0060 5.6, 5.7 and 6: what everybody may do. Each verb: read the element, ask the service, render. */
export const pubsub = ({ service, events, tell, pictures }: PubSubXepDeps): Xep => ({
  features: [
    NS.pubsub,
    ...['subscribe', 'subscription-options', 'subscription-notifications', 'leased-subscription'].map(feature),
    ...['retrieve-default-sub', 'retrieve-subscriptions', 'retrieve-affiliations', 'retrieve-items'].map(feature),
    ...['item-ids', 'persistent-items', 'last-published', 'multi-items', 'meta-data', 'rsm'].map(feature),
    ...['access-open', 'access-authorize', 'access-whitelist', 'presence-notifications'].map(feature),
    NS.order,
    `${NS.order}@${NS.pubsub}`,
    NS.shim,
    `${NS.shim}#SubID`,
    `${NS.shim}#Collection`,
  ],
  routes: [
    set(NS.pubsub, 'subscribe', async (request): Promise<Reply> => {
      const form = optionsWith(request);
      const submitted = form && readForm(form, OPTIONS_FORM, 'invalid-options');
      if (submitted === 'cancel')
        throw new Fault('invalid-options', 'The form of a new subscription cannot be cancelled');
      const { subscription, options, notices } = await service.subscribe({
        ...ask(request),
        ...(submitted && { options: submitted }),
      });
      return {
        payload: wrap(
          subscriptionElement(subscription),
          ...(submitted ? [xml('options', {}, optionsForm('result', options))] : []),
        ),
        afterwards: async () => tell(await notices()),
      };
    }),
    set(NS.pubsub, 'unsubscribe', async (request): Promise<Reply> => {
      const { ended, notices } = await service.unsubscribe(ask(request));
      return { payload: wrap(subscriptionElement(ended, 'none')), afterwards: () => tell(notices) };
    }),
    get(NS.pubsub, 'options', async (request) => {
      const { subscription, options } = await service.options(ask(request));
      const { jid, subid } = subscription;
      const { node } = ask(request);
      return wrap(xml('options', { node, jid, subid }, optionsForm('form', options)));
    }),
    set(NS.pubsub, 'options', async (request) => {
      const submitted = readForm(request.action, OPTIONS_FORM, 'invalid-options');
      if (submitted !== 'cancel') await service.configureSubscription({ ...ask(request), options: submitted });
      else await service.options(ask(request));
    }),
    get(NS.pubsub, 'default', async ({ action }) => {
      const node = optional(action, 'node');
      const options = await service.defaultOptions(node);
      return wrap(xml('default', node === undefined ? {} : { node }, optionsForm('result', options)));
    }),
    get(NS.pubsub, 'subscriptions', async ({ from, action, payload }) => {
      const node = optional(action, 'node');
      const ask = listPage(payload, action);
      const page = await service.subscriptions(from, node, ask);
      const named = node === undefined ? {} : { node };
      const list = xml('subscriptions', named, ...page.entries.map((one) => subscriptionElement(one)));
      return wrap(list, ...setOf(page, ask, ({ subid }) => subid));
    }),
    get(NS.pubsub, 'affiliations', async ({ from, action, payload }) => {
      const node = optional(action, 'node');
      const ask = listPage(payload, action);
      const page = await service.affiliations(from, node, ask);
      const named = node === undefined ? {} : { node };
      const list = xml('affiliations', named, ...page.entries.map((one) => xml('affiliation', { ...one })));
      return wrap(list, ...setOf(page, ask, (one) => one.node));
    }),
    get(NS.pubsub, 'items', async ({ from, action, payload }) => {
      const node = attr(action, 'node', 'node-required');
      const max = optional(action, 'max_items');
      const subid = optional(action, 'subid');
      const ids = action.getChildren('item').map((one) => attr(one, 'id', 'bad-request'));
      if (max !== undefined && ids.length > 0) throw new Fault('bad-request', 'Either max_items or ItemIDs');
      if (ids.length === 1 && (ids[0] === AVATAR_METADATA || ids[0] === AVATAR_DATA)) {
        const { id, kind } = await service.readable(node, from);
        const picture = kind === 'feed' ? await pictures.of(id as FeedId) : undefined;
        const shown = picture && (ids[0] === AVATAR_DATA ? pictureData(picture) : pictureItem(picture));
        // Nothing keeps a publisher from using such an ItemID, so a node without a picture is asked for the item.
        if (shown) return wrap(xml('items', { node }, shown));
      }
      // XEP-0060 6.5.4: the <set/> is a sibling of <items/>.
      const page = readPage(payload, ITEMS_PER_PAGE);
      const order = readOrder(payload);
      const answer = await service.items({
        ...{ requester: from, node },
        ...(subid !== undefined && { subid }),
        ...(max !== undefined && { max: atLeastOne(wholeNumber(max, 'max_items')) }),
        ...(ids.length > 0 && { ids }),
        ...(page && { page }),
        ...(order && { order }),
      });
      return itemsElement(node, answer, max === undefined ? Infinity : Number(max), page, order, events);
    }),
  ],
});

const feature = (name: string): string => `${NS.pubsub}#${name}`;

const ask = ({ from, action }: Request): Ask => {
  const subid = optional(action, 'subid');
  return {
    requester: from,
    node: attr(action, 'node', 'node-required'),
    jid: attr(action, 'jid', 'jid-required'),
    ...(subid && { subid }),
  };
};

/** The options that come with a subscription (XEP-0060 6.3.7). @throws Fault `bad-request` where they may not be so */
function optionsWith({ action, payload }: Request): Element | undefined {
  const options = payload.getChild('options', NS.pubsub);
  if (!options) return undefined;
  const children = payload.getChildElements();
  if (children.indexOf(options) < children.indexOf(action)) {
    throw new Fault('bad-request', '<options/> comes after <subscribe/>');
  }
  for (const name of ['node', 'jid']) {
    const value = optional(options, name);
    if (value !== undefined && value !== optional(action, name)) {
      throw new Fault('bad-request', '<options/> has neither node nor jid here: <subscribe/> says them');
    }
  }
  return options;
}

const optionsForm = (type: 'form' | 'result', options: Options): Element =>
  formElement(type, OPTIONS_FORM, OPTION_FIELDS, options);

const wrap = (...children: readonly Element[]): Element => xml('pubsub', { xmlns: NS.pubsub }, ...children);

function atLeastOne(number: number): number {
  if (number === 0) throw new Fault('bad-request', 'max_items is at least 1');
  return number;
}

/** Where clients put the <set/> of a list: beside it, or inside. */
const listPage = (payload: Element, action: Element): PageAsk | undefined =>
  readPage(payload, LIST_PAGE) ?? readPage(action, LIST_PAGE);

/** XEP-0413. */
export function readOrder(parent: Element): Order | undefined {
  const order = parent.getChild('order', NS.order);
  if (!order) return undefined;
  const by = attr(order, 'by', 'bad-request');
  if (by !== 'creation' && by !== 'modification') {
    throw new Fault('unsupported', `There is no order by "${by}", only by creation and by modification`);
  }
  return { by, newestFirst: flagOf(order, 'desc') };
}

/**
 * The items as far as they fit into one stanza, with the XEP-0059 set where a page was asked for or something that was
 * wanted was left out. What lies at the far end of the page is left out first: the oldest, unless the page goes forward.
 */
function itemsElement(
  node: string,
  { node: { id }, items, page }: ItemsAnswer,
  max: number,
  asked: PageAsk | undefined,
  order: Order | undefined,
  events: PubSubXepDeps['events'],
): Element {
  const forward = order ? asked?.before === undefined : asked && asked.before === undefined;
  const fitting: { readonly id: string; readonly text: string }[] = [];
  let bytes = 0;
  let left = 0;
  for (const one of forward ? items : [...items].reverse()) {
    const text = left > 0 ? undefined : rendered(one, id, events);
    if (text === '') continue;
    bytes += text === undefined ? 0 : Buffer.byteLength(text);
    if (text === undefined || (bytes > REPLY_MAX_BYTES && fitting.length > 0)) left++;
    else fitting.push({ id: one.id, text });
  }
  if (!forward) fitting.reverse();
  const reply = xml('items', { node }, ready(fitting.map(({ text }) => text).join('')));
  const isWhole = left === 0 && (!page || items.length >= Math.min(max, page.count));
  if (!asked && isWhole) return wrap(reply);
  const where = page ? { index: page.index + (forward ? 0 : left), count: page.count } : {};
  return wrap(
    reply,
    pageElement(
      fitting.map((one) => one.id),
      where,
    ),
  );
}

/** One item as text; '' for one that cannot be shown: delivery reports and quarantines it, here it costs nothing else. */
function rendered(item: PublishedItem, node: NodeKey, events: PubSubXepDeps['events']): string {
  try {
    return events.item(item, node);
  } catch (error) {
    if (!(error instanceof Unprovable)) throw error;
    return '';
  }
}
