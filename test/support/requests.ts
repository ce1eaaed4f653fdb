import xml, { type Element } from '@xmpp/xml';
import type { Follower } from '../../prosody/reader.js';

export const NS = {
  discoInfo: 'http://jabber.org/protocol/disco#info',
  discoItems: 'http://jabber.org/protocol/disco#items',
  pubsub: 'http://jabber.org/protocol/pubsub',
  owner: 'http://jabber.org/protocol/pubsub#owner',
  errors: 'http://jabber.org/protocol/pubsub#errors',
  event: 'http://jabber.org/protocol/pubsub#event',
  data: 'jabber:x:data',
  rsm: 'http://jabber.org/protocol/rsm',
  mam: 'urn:xmpp:mam:2',
} as const;

/** The part of a list that is asked for (XEP-0059). */
export interface PageWish {
  readonly max?: number;
  readonly after?: string;
  readonly before?: string;
}

export const rsm = ({ max, after, before }: PageWish): Element =>
  xml(
    'set',
    { xmlns: NS.rsm },
    ...(max === undefined ? [] : [xml('max', {}, String(max))]),
    ...(after === undefined ? [] : [xml('after', {}, after)]),
    ...(before === undefined ? [] : [xml('before', {}, before)]),
  );

/** What the <set/> in an answer says; undefined when there is none. */
export function setIn(parent: Element) {
  const set = parent.getChild('set', NS.rsm);
  return (
    set && {
      first: set.getChildText('first') ?? undefined,
      index: set.getChild('first')?.attrs['index'] as string | undefined,
      last: set.getChildText('last') ?? undefined,
      count: set.getChildText('count') ?? undefined,
    }
  );
}

/** A form that is filled in (XEP-0004). */
export const submit = (formType: string, fields: Readonly<Record<string, string | readonly string[]>>): Element =>
  xml(
    'x',
    { xmlns: NS.data, type: 'submit' },
    xml('field', { var: 'FORM_TYPE', type: 'hidden' }, xml('value', {}, formType)),
    ...Object.entries(fields).map(([name, values]) =>
      xml('field', { var: name }, ...[values].flat().map((value) => xml('value', {}, value))),
    ),
  );

/** The fields of the form inside `parent`: their values by their `var`. */
export const fieldsIn = (parent: Element): Record<string, string[]> =>
  Object.fromEntries(
    (parent.getChild('x', NS.data)?.getChildren('field') ?? []).map((field) => [
      String(field.attrs['var']),
      field.getChildren('value').map((value) => value.getText()),
    ]),
  );

export const pubsub = (...children: readonly Element[]): Element => xml('pubsub', { xmlns: NS.pubsub }, ...children);
export const owner = (...children: readonly Element[]): Element => xml('pubsub', { xmlns: NS.owner }, ...children);

const config = (fields: Readonly<Record<string, string | readonly string[]>>) =>
  submit(
    `${NS.pubsub}#node_config`,
    Object.fromEntries(Object.entries(fields).map(([name, values]) => [`pubsub#${name}`, values])),
  );

/** Makes a node without a feed. `fields` are those of its configuration, without `pubsub#`. */
export async function create(
  admin: Follower,
  node: string,
  fields: Readonly<Record<string, string | readonly string[]>> = {},
): Promise<void> {
  await admin.request('set', pubsub(xml('create', { node }), xml('configure', {}, config(fields))));
}

/** Changes how a node is configured. */
export async function configure(
  admin: Follower,
  node: string,
  fields: Readonly<Record<string, string | readonly string[]>>,
): Promise<void> {
  await admin.request('set', owner(xml('configure', { node }, config(fields))));
}

/** Publishes items with these ItemIDs one after the other; the payload of each says its `text`. */
export async function publish(
  publisher: Follower,
  node: string,
  ids: readonly string[],
  text = 'first',
): Promise<void> {
  for (const id of ids) {
    const payload = xml('note', { xmlns: 'urn:example:note' }, `${text} ${id}`);
    await publisher.request('set', pubsub(xml('publish', { node }, xml('item', { id }, payload))));
  }
}

/** Says how somebody stands to a node. */
export async function affiliate(admin: Follower, node: string, jid: string, affiliation: string): Promise<void> {
  await admin.request('set', owner(xml('affiliations', { node }, xml('affiliation', { jid, affiliation }))));
}

/** What a request is refused with: the type, the condition, and that of pubsub where there is one, with its feature. */
export async function refusal(request: Promise<unknown>): Promise<string> {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Error) || !('element' in error)) return `not refused: ${String(error)}`;
  const element = error.element as Element;
  const detail = element.getChildElements().find((child) => child.getNS() === NS.errors);
  const [condition] = element.getChildElements();
  const words = [element.attrs['type'], condition?.name, detail?.name, detail?.attrs['feature']];
  return words.filter((word) => word !== undefined).join(' ');
}
