import { Socket } from 'node:net';
import { client, xml } from '@xmpp/client';
import type { Element } from '@xmpp/xml';
import { createInbox, type Inbox } from './inbox.js';
import { ScramSha1 } from './scram.js';

const PUBSUB = 'http://jabber.org/protocol/pubsub';
const EVENT = 'http://jabber.org/protocol/pubsub#event';
const ATOM = 'http://www.w3.org/2005/Atom';

/** One item of a node, as it came or as it was asked for. */
export interface Item {
  readonly node: string;
  readonly id: string;
  readonly title: string | undefined;
  readonly link: string | undefined;
  /** When it was published or else updated, as the entry says. */
  readonly published: string | undefined;
  /** The whole <item/>. */
  readonly item: Element;
  /** The stanza it came in. */
  readonly stanza: Element;
}

/** Somebody who follows the nodes of one service, over whatever connection. */
export interface Follower {
  /** The bare JID, which is what is subscribed. */
  readonly jid: string;
  /** Items as they are notified, one by one, whatever node they belong to. */
  readonly arrivals: Inbox<Item>;
  /** Every presence. */
  readonly presences: Inbox<Element>;
  /** All other messages: chat, invitations, retractions. */
  readonly messages: Inbox<Element>;
  /** Resolves with the service's <subscription/>. Like all requests, rejects with a StanzaError. */
  subscribe(node: string): Promise<Element>;
  unsubscribe(node: string): Promise<void>;
  items(node: string): Promise<readonly Item[]>;
  /** Any other request: resolves with the whole answer. */
  request(type: 'get' | 'set', child: Element, to?: string): Promise<Element>;
}

/** The connection's side of a follower. */
export interface FollowerPort {
  receive(stanza: Element): void;
  close(why: string): void;
}

/** What a follower needs: `ask` sends an IQ in its name and resolves with the answer. */
export function createFollower(
  jid: string,
  service: string,
  ask: (iq: Element) => Promise<Element>,
): Follower & FollowerPort {
  const arrivals = createInbox<Item>(`items for ${jid}`);
  const messages = createInbox<Element>(`messages for ${jid}`);
  const presences = createInbox<Element>(`presences for ${jid}`);
  const request: Follower['request'] = (type, child, to = service) => ask(xml('iq', { type, to }, child));

  return {
    jid,
    arrivals,
    messages,
    presences,
    request,
    async subscribe(node) {
      const answer = await request('set', xml('pubsub', PUBSUB, xml('subscribe', { node, jid })));
      const subscription = answer.getChild('pubsub', PUBSUB)?.getChild('subscription');
      if (!subscription) throw new Error(`no <subscription/> in the answer: ${answer.toString()}`);
      return subscription;
    },
    async unsubscribe(node) {
      await request('set', xml('pubsub', PUBSUB, xml('unsubscribe', { node, jid })));
    },
    async items(node) {
      const answer = await request('get', xml('pubsub', PUBSUB, xml('items', { node })));
      const items = answer.getChild('pubsub', PUBSUB)?.getChild('items')?.getChildren('item') ?? [];
      return items.map((item) => readItem(node, item, answer));
    },
    receive(message) {
      if (message.is('presence')) return presences.push(message);
      const items = message.getChild('event', EVENT)?.getChild('items');
      const found = items?.getChildren('item') ?? [];
      if (found.length === 0) messages.push(message);
      for (const item of found) arrivals.push(readItem(`${items?.attrs['node']}`, item, message));
    },
    close(why) {
      arrivals.close(why);
      messages.close(why);
      presences.close(why);
    },
  };
}

/** A Jabber client. It reconnects by itself, and says that it is there each time. */
export interface Reader extends Follower {
  /** The full JID of each login after the first. */
  readonly logins: Inbox<string>;
  /** Sends any stanza as it stands. */
  send(stanza: Element): Promise<void>;
  stop(): Promise<void>;
}

/** What we use of the library where @types/xmpp__client has nothing or names a path that NodeNext does not resolve. */
interface IqCaller {
  request(stanza: Element): Promise<Element>;
}
interface Sasl {
  use(name: string, mechanism: typeof ScramSha1): { readonly _mechs: unknown[] };
}

/** Logs in over an unencrypted loopback connection and announces its presence; resolves when both are done. */
export async function startReader(options: {
  /** Such as xmpp://127.0.0.1:5222. */
  readonly server: string;
  readonly name: string;
  readonly password: string;
  /** The service to follow. */
  readonly service: string;
}): Promise<Reader> {
  const { server, name, password, service } = options;
  const xmpp = client({ service: server, domain: 'localhost', username: name, password });
  const caller = xmpp.iqCaller as IqCaller;
  // The first one of a name wins, and the library's own cannot log in.
  const mechanisms = (xmpp.sasl as unknown as Sasl).use('SCRAM-SHA-1', ScramSha1);
  mechanisms._mechs.unshift(mechanisms._mechs.pop());
  const follower = createFollower(`${name}@localhost`, service, (iq) => caller.request(iq));
  const logins = createInbox<string>(`logins of ${name}`);

  // Without a listener a lost connection would end the process; reconnecting is the library's job.
  let lastError: Error | undefined;
  xmpp.on('error', (error) => (lastError = error));
  xmpp.on('connect', () => {
    // COMPAT(@xmpp/client 0.13): it decodes each TCP segment by itself and breaks characters that straddle two.
    if (xmpp.socket instanceof Socket) xmpp.socket.setEncoding('utf8');
  });
  xmpp.on('stanza', (stanza: Element) => {
    if (!stanza.is('iq')) follower.receive(stanza);
  });
  xmpp.on('online', (address) => {
    // A login that is cut short is followed by another one.
    xmpp.send(xml('presence')).then(
      () => logins.push(address.toString()),
      () => undefined,
    );
  });

  await Promise.all([xmpp.start(), logins.take()]).catch(async (error: unknown) => {
    xmpp.reconnect.stop();
    await xmpp.stop().catch(() => undefined);
    throw lastError ?? error;
  });

  return {
    ...follower,
    logins,
    send: (stanza) => xmpp.send(stanza),
    async stop() {
      xmpp.reconnect.stop();
      await xmpp.stop().catch(() => undefined);
      follower.close('the reader has left');
      logins.close('the reader has left');
    },
  };
}

function readItem(node: string, item: Element, stanza: Element): Item {
  const entry = item.getChild('entry', ATOM);
  const links = entry?.getChildren('link') ?? [];
  const link = links.find((each) => (each.attrs['rel'] ?? 'alternate') === 'alternate') ?? links[0];
  const title = entry?.getChild('title');
  return {
    node,
    id: `${item.attrs['id'] ?? ''}`,
    title: title && textOf(title).replace(/\s+/g, ' ').trim(),
    link: link && `${link.attrs['href']}`,
    published: entry?.getChildText('published') ?? entry?.getChildText('updated') ?? undefined,
    item,
    stanza,
  };
}

/** A title of type xhtml has its words further down. */
function textOf(element: Element): string {
  return element.children.map((child) => (typeof child === 'string' ? child : textOf(child))).join('');
}
