import xml, { type Element } from '@xmpp/xml';
import { LRUCache } from 'lru-cache';
import { FIREHOSE, type NodeKey } from '../lib/domain.js';
import type { PublishedItem } from '../lib/pubsub/reader.js';
import { serialise } from './connection.js';
import { payload } from './payload.js';
import { escapeAttribute, NS, ready } from './stanza.js';

// What a stanza is around its payload: addresses, node name, ids.
const ENVELOPE_BYTES = 4_096;
// Rendered items that are asked for again soon: by clients that fetch what they were told of, and by page.
const KEPT_BYTES = 33_554_432;

/** The parts of a message about a node (XEP-0060 7.1.2, 13.16; XEP-0203). */
export interface Message {
  readonly to: string;
  readonly type: string;
  readonly id: string;
  /** What is inside <event/>, as XML text. */
  readonly event?: string;
  readonly body?: string | undefined;
  /** When what it tells was published or committed (ms since 1970), where that is long ago. */
  readonly delay?: number | undefined;
  /** The subscriptions it is for, where the one who gets it has to tell them apart. */
  readonly subids?: readonly string[];
  /** Beside <event/>, as XML text. */
  readonly more?: string | undefined;
  /** The node, for those who follow many under one name (XEP-0131 Collection). */
  readonly collection?: string | undefined;
}

export type Events = ReturnType<typeof createEvents>;

/**
 * Items and messages as they go out, in results and in notifications.
 * @param domain our own address, which all events come from
 * @param maxBytes of a whole stanza, in UTF-8
 */
export function createEvents(domain: string, maxBytes: number) {
  const rendered = new LRUCache<string, string>({ maxSize: KEPT_BYTES, sizeCalculation: (text) => text.length + 200 });

  /** <item/> with its payload as text; on the firehose an entry names its feed in atom:source. @throws Unprovable */
  function item(published: PublishedItem, node: NodeKey): string {
    // What people publish is text already, and may have changed twice within a millisecond.
    if ('payload' in published) {
      const { id, publisher } = published;
      return `<item${attributes({ id, publisher })}>${published.payload}</item>`;
    }
    const key = `${published.id} ${published.at} ${node}`;
    const known = rendered.get(key);
    if (known !== undefined) return known;
    const { text: entry } = payload(published, node === FIREHOSE, maxBytes - ENVELOPE_BYTES);
    const text = `<item${attributes({ id: published.id })}>${entry}</item>`;
    rendered.set(key, text);
    return text;
  }

  /** <item/> that only names the item. */
  const name = (published: PublishedItem): string =>
    `<item${attributes({ id: published.id, publisher: publisherOf(published) })}/>`;

  return {
    item,
    name,
    /** The same as an element for a result. @throws Unprovable */
    element: (published: PublishedItem, node: NodeKey): Element => ready(item(published, node)),

    /** <items/> around rendered items or retractions. */
    items: (node: string, inner: string): string => `<items${attributes({ node })}>${inner}</items>`,

    /** '' for a room to which there is nothing to say. */
    message({ to, type, id, event, body, delay, subids = [], more = '', collection }: Message): string {
      if (type === 'groupchat') {
        // Rooms are for people, and there are clients that hide whatever has an <event/>.
        const text = body ? serialise(xml('body', {}, body)) : '';
        return text && `<message${attributes({ from: speakerOf(domain), to, type, id })}>${text}</message>`;
      }
      // People's clients take a conversation with a bare domain for a server's notice and hide it.
      const from = type === 'chat' && body ? `news@${domain}` : domain;
      const stamp = delay === undefined ? undefined : new Date(delay).toISOString();
      const headers = [
        ...subids.map((subid) => xml('header', { name: 'SubID' }, subid)),
        ...(collection ? [xml('header', { name: 'Collection' }, collection)] : []),
      ];
      return (
        `<message${attributes({ from, to, type, id })}>` +
        (event === undefined ? '' : `<event xmlns='${NS.pubsubEvent}'>${event}</event>`) +
        (body ? serialise(xml('body', {}, body)) : '') +
        more +
        (stamp ? xml('delay', { xmlns: NS.delay, from: domain, stamp }).toString() : '') +
        (headers.length > 0 ? xml('headers', { xmlns: NS.shim }, ...headers).toString() : '') +
        '</message>'
      );
    },
  };
}

/** Who speaks in rooms: somebody in a room has a full JID, and is not to be taken for the service. */
export const speakerOf = (domain: string): string => `news@${domain}/hydrant`;

const publisherOf = (published: PublishedItem): string | undefined =>
  'publisher' in published ? published.publisher : undefined;

/** Attributes as text, those without a value or with an empty one left out. */
export const attributes = (all: Readonly<Record<string, string | undefined>>): string =>
  Object.entries(all)
    .map(([key, value]) => (value ? ` ${key}='${escapeAttribute(value)}'` : ''))
    .join('');
