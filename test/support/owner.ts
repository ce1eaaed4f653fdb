import xml, { type Element } from '@xmpp/xml';
import type { Follower, Item } from '../../prosody/reader.js';

export const PUBSUB = 'http://jabber.org/protocol/pubsub';
export const NODE_CONFIG = `${PUBSUB}#node_config`;
const DATA = 'jabber:x:data';
const DISCO = 'http://jabber.org/protocol/disco';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const SECONDS = 20;

/** What is filled into a form, by names without `pubsub#`. */
export type Filled = Readonly<Record<string, string | readonly string[]>>;

/** A form as clients send it: without the types of its fields. */
export function form(type: string, formType: string, filled: Filled = {}): Element {
  const { FORM_TYPE, ...values } = filled;
  const fields = Object.entries(values).map(([name, given]) => field(`pubsub#${name}`, ...[given].flat()));
  return xml('x', { xmlns: DATA, type }, field('FORM_TYPE', ...[FORM_TYPE ?? formType].flat()), ...fields);
}

const field = (name: string, ...values: string[]): Element =>
  xml('field', { var: name }, ...values.map((value) => xml('value', {}, value)));

type Values = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a form says, by names without `pubsub#`: a value, or a list where there is not exactly one. */
export function valuesIn(parent: Element | undefined): Filled {
  const fields = parent?.getChild('x', DATA)?.getChildren('field') ?? [];
  return Object.fromEntries(
    fields.map((one) => {
      const values = one.getChildren('value').map((value) => value.getText());
      return [String(one.attrs['var']).replace('pubsub#', ''), values.length === 1 ? values[0]! : values];
    }),
  );
}

/** The <error/> with which a request was refused. */
export async function refused(asked: Promise<unknown>): Promise<Element> {
  const error: unknown = await asked.then(
    () => new Error('it was not refused'),
    (why: unknown) => why,
  );
  if (error instanceof Error && 'element' in error) return error.element as Element;
  throw error;
}

/** How a request was refused: type, condition, and what XEP-0060 adds, such as `unsupported:collections`. */
export async function refusal(asked: Promise<unknown>): Promise<string> {
  const { attrs, children } = await refused(asked);
  const conditions = (children as Element[]).filter((one) => !one.is('text', STANZAS));
  const names = conditions.map((one) => one.getName() + (one.attrs['feature'] ? `:${one.attrs['feature']}` : ''));
  return [attrs['type'], ...names].join(' ');
}

/** A payload that is no feed's entry. */
export const note = (text: string): Element => xml('note', { xmlns: 'urn:example:note' }, text);

export const item = (id: string | undefined, ...payloads: Element[]): Element =>
  xml('item', id === undefined ? {} : { id }, ...payloads);

export type Party = ReturnType<typeof party>;

/** A follower who also knows what owners and publishers say. All requests reject with a StanzaError. */
export function party(follower: Follower) {
  const { request, arrivals, messages } = follower;
  const pubsub = (type: 'get' | 'set', ...children: Element[]) => request(type, xml('pubsub', PUBSUB, ...children));
  const owner = (type: 'get' | 'set', verb: Element) => request(type, xml('pubsub', `${PUBSUB}#owner`, verb));
  const inOwner = async (verb: Element) => (await owner('get', verb)).getChild('pubsub')!.getChild(verb.name)!;
  const disco = async (what: 'info' | 'items', node: string | undefined) => {
    const query = xml('query', { xmlns: `${DISCO}#${what}`, ...(node !== undefined && { node }) });
    return (await request('get', query)).getChild('query')!;
  };
  const eventOf = (message: Element) => message.getChild('event', `${PUBSUB}#event`)?.getChildElements()[0];
  const isAbout = (node: string) => (message: Element) => eventOf(message)?.attrs['node'] === node;

  return {
    ...follower,
    pubsub,
    owner,

    /** Resolves with the NodeID. */
    async create(node?: string, config?: Filled): Promise<string> {
      const answer = await pubsub(
        'set',
        xml('create', node === undefined ? {} : { node }),
        ...(config ? [xml('configure', {}, form('submit', NODE_CONFIG, config))] : []),
      );
      return String(answer.getChild('pubsub')!.getChild('create')!.attrs['node']);
    },
    configure: (node: string, config: Filled) =>
      owner('set', xml('configure', { node }, form('submit', NODE_CONFIG, config))),
    async configuration(node: string) {
      return valuesIn(await inOwner(xml('configure', { node })));
    },
    delete: (node: string, uri?: string) =>
      owner('set', xml('delete', { node }, ...(uri === undefined ? [] : [xml('redirect', { uri })]))),
    purge: (node: string) => owner('set', xml('purge', { node })),

    /** Resolves with the ItemIDs. */
    async publish(node: string, ...items: Element[]): Promise<string[]> {
      const answer = await pubsub('set', xml('publish', { node }, ...items));
      const published = answer.getChild('pubsub')?.getChild('publish')?.getChildren('item') ?? [];
      return published.map(({ attrs }) => String(attrs['id']));
    },
    retract: (node: string, ids: readonly string[], notify?: string) =>
      pubsub('set', xml('retract', { node, notify }, ...ids.map((id) => item(id)))),

    /** bare JID → affiliation */
    async affiliations(node: string): Promise<Readonly<Record<string, string>>> {
      const list = (await inOwner(xml('affiliations', { node }))).getChildren('affiliation');
      return Object.fromEntries(list.map(({ attrs }) => [String(attrs['jid']), String(attrs['affiliation'])]));
    },
    affiliate: (node: string, changes: Readonly<Record<string, string>>) =>
      owner(
        'set',
        xml(
          'affiliations',
          { node },
          ...Object.entries(changes).map(([jid, affiliation]) => xml('affiliation', { jid, affiliation })),
        ),
      ),
    /** JID and state of all who are on an owner's list. */
    async subscribers(node: string): Promise<string[]> {
      const list = (await inOwner(xml('subscriptions', { node }))).getChildren('subscription');
      return list.map(({ attrs }) => `${String(attrs['jid'])} ${String(attrs['subscription'])}`);
    },
    setSubscriptions: (node: string, changes: Readonly<Record<string, string>>) =>
      owner(
        'set',
        xml(
          'subscriptions',
          { node },
          ...Object.entries(changes).map(([jid, subscription]) => xml('subscription', { jid, subscription })),
        ),
      ),
    /** The nodes that they are subscribed to, with the state. */
    async subscriptions(): Promise<string[]> {
      const answer = await pubsub('get', xml('subscriptions'));
      const list = answer.getChild('pubsub')!.getChild('subscriptions')!.getChildren('subscription');
      return list.map(({ attrs }) => `${String(attrs['node'])} ${String(attrs['subscription'])}`);
    },

    /** What discovery says of a node: its name, and its metadata. */
    async describe(node: string): Promise<Values> {
      const query = await disco('info', node);
      return { name: query.getChild('identity')?.attrs['name'] as string | undefined, ...valuesIn(query) };
    },
    /** NodeID → name, as far as one page goes. */
    async directory(): Promise<ReadonlyMap<string, string>> {
      const items = (await disco('items', undefined)).getChildren('item');
      return new Map(items.map(({ attrs }) => [String(attrs['node']), String(attrs['name'])]));
    },
    /** The ItemIDs that discovery shows. */
    async contents(node: string): Promise<string[]> {
      return (await disco('items', node)).getChildren('item').map(({ attrs }) => String(attrs['name']));
    },

    /** The next item that comes of this node. */
    next: (node: string): Promise<Item> => arrivals.take((one) => one.node === node, SECONDS),
    /** The next thing that they are told of this node beside items: what is inside <event/>. */
    async told(node: string): Promise<Element> {
      return eventOf(await messages.take(isAbout(node), SECONDS))!;
    },
    /** The next message for which this holds. */
    message: (match: (message: Element) => boolean): Promise<Element> => messages.take(match, SECONDS),
    /** What has come of this node and was not looked at: ItemIDs, and the names of what is in other events. */
    rest: (node: string): string[] => [
      ...arrivals.pending.filter((one) => one.node === node).map(({ id }) => id),
      ...messages.pending.filter(isAbout(node)).map((message) => eventOf(message)!.getName()),
    ],
  };
}
