import xml, { type Element } from '@xmpp/xml';
import type { Follower, Item } from '../../prosody/reader.js';
import { fieldsIn, NS, pubsub, rsm, submit, type PageWish } from './requests.js';

export const OPTIONS = `${NS.pubsub}#subscribe_options`;
const SHIM = 'http://jabber.org/protocol/shim';
const DELAY = 'urn:xmpp:delay';
const SECONDS = 20;

/** What is filled into the form of a subscription: values by the `var` of their field. */
export type Filled = Readonly<Record<string, string | readonly string[]>>;
/** Which subscription: that of the follower's bare JID if nothing is said. */
export interface Which {
  readonly jid?: string;
  readonly subid?: string;
}
export type Attributes = Readonly<Record<string, string>>;

export type Subscriber = ReturnType<typeof subscriber>;

/** A follower with everything that subscribers say (XEP-0060 5.6, 5.7 and 6). All requests reject with a StanzaError. */
export function subscriber(follower: Follower) {
  const { request, arrivals, messages, jid } = follower;
  const ask = async (type: 'get' | 'set', ...children: readonly Element[]) =>
    (await request(type, pubsub(...children))).getChild('pubsub', NS.pubsub)!;
  const verb = (name: string, node: string, which: Which = {}, ...children: readonly Element[]) =>
    xml(name, { node, jid, ...which }, ...children);
  const list = async (name: string, entry: string, node?: string, page?: PageWish) => {
    const answer = await ask('get', xml(name, node === undefined ? {} : { node }), ...(page ? [rsm(page)] : []));
    const found = answer.getChild(name)!;
    return { answer, list: found, entries: found.getChildren(entry).map(({ attrs }) => attrs as Attributes) };
  };

  return {
    ...follower,
    ask,
    verb,

    /** Resolves with what the answer says of the subscription, and the options where some were given. */
    async join(node: string, filled?: Filled, which: Which = {}) {
      const options = filled && xml('options', {}, submit(OPTIONS, filled));
      const answer = await ask('set', verb('subscribe', node, which), ...(options ? [options] : []));
      const given = answer.getChild('options');
      return {
        ...(answer.getChild('subscription')!.attrs as {
          node: string;
          jid: string;
          subid: string;
          subscription: string;
        }),
        ...(given && { options: fieldsIn(given) }),
      };
    },
    /** Resolves with what the answer says of the subscription. */
    async quit(node: string, which: Which = {}) {
      return (await ask('set', verb('unsubscribe', node, which))).getChild('subscription')!.attrs as Attributes;
    },
    /** The <options/> with its form. */
    optionsForm: async (node: string, which: Which = {}) =>
      (await ask('get', verb('options', node, which))).getChild('options')!,
    /** The values of the options by the `var` of their field. */
    options: async (node: string, which: Which = {}) =>
      fieldsIn((await ask('get', verb('options', node, which))).getChild('options')!),
    setOptions: (node: string, filled: Filled, which: Which = {}) =>
      request('set', pubsub(verb('options', node, which, submit(OPTIONS, filled)))),
    subscriptions: (node?: string, page?: PageWish) => list('subscriptions', 'subscription', node, page),
    affiliations: (node?: string, page?: PageWish) => list('affiliations', 'affiliation', node, page),

    /** The next item. */
    next: (): Promise<Item> => arrivals.take(undefined, SECONDS),
    /** The next message without an item. */
    told: (): Promise<Element> => messages.take(undefined, SECONDS),
    /** What has come and was not looked at: the ItemIDs, and what is in messages without items. */
    rest: (): string[] => [
      ...arrivals.pending.map(({ id }) => id),
      ...messages.pending.map((message) => message.getChildElements()[0]?.getChildElements()[0]?.name ?? 'message'),
    ],
  };
}

/** What is inside the <event/> of a message. */
export const eventIn = (message: Element): Element | undefined =>
  message.getChild('event', NS.event)?.getChildElements()[0];

/** The SHIM headers of one name (XEP-0131); undefined when there are no headers at all. */
export function headersIn(message: Element, name: string): string[] | undefined {
  const headers = message.getChild('headers', SHIM)?.getChildren('header');
  return headers?.filter(({ attrs }) => attrs['name'] === name).map((header) => header.getText());
}

/** When the message should have come (XEP-0203); undefined for one that is not late. */
export const stampIn = (message: Element): string | undefined =>
  message.getChild('delay', DELAY)?.attrs['stamp'] as string | undefined;
