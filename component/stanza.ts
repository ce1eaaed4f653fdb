import xml, { type Element } from '@xmpp/xml';
import { Fault, type FaultCode } from '../lib/faults.js';

/** The namespaces that more than one file speaks. */
export const NS = {
  stanzas: 'urn:ietf:params:xml:ns:xmpp-stanzas',
  discoInfo: 'http://jabber.org/protocol/disco#info',
  discoItems: 'http://jabber.org/protocol/disco#items',
  pubsub: 'http://jabber.org/protocol/pubsub',
  pubsubEvent: 'http://jabber.org/protocol/pubsub#event',
  pubsubErrors: 'http://jabber.org/protocol/pubsub#errors',
  pubsubOwner: 'http://jabber.org/protocol/pubsub#owner',
  rsm: 'http://jabber.org/protocol/rsm',
  ping: 'urn:xmpp:ping',
  version: 'jabber:iq:version',
  data: 'jabber:x:data',
  caps: 'http://jabber.org/protocol/caps',
  commands: 'http://jabber.org/protocol/commands',
  delay: 'urn:xmpp:delay',
  forward: 'urn:xmpp:forward:0',
  mam: 'urn:xmpp:mam:2',
  mamExtended: 'urn:xmpp:mam:2#extended',
  order: 'urn:xmpp:order-by:1',
  shim: 'http://jabber.org/protocol/shim',
} as const;

/** An attribute's value. @throws Fault `missing` when it is not there or empty */
export function attr(element: Element, name: string, missing: FaultCode): string {
  const value = optional(element, name);
  if (!value) throw new Fault(missing, `The attribute "${name}" is missing`);
  return value;
}

/** An attribute's value, or undefined. */
export function optional(element: Element, name: string): string | undefined {
  const value: unknown = element.attrs[name];
  return typeof value === 'string' ? value : undefined;
}

/** XML Schema's boolean in an attribute; false when it is not there. @throws Fault `bad-request` when it is none */
export function flagOf(element: Element, name: string): boolean {
  const value = optional(element, name) ?? 'false';
  if (!['0', '1', 'false', 'true'].includes(value)) throw new Fault('bad-request', `"${name}" is true or false`);
  return value === '1' || value === 'true';
}

/** A whole number in text. @throws Fault `bad-request` when it is none */
export function wholeNumber(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Fault('bad-request', `"${name}" must be a whole number`);
  return Number(text);
}

/** An element whose text is ready: it is only ever written. */
class Ready extends xml.Element {
  constructor(private readonly markup: string) {
    super('ready');
  }
  override write(writer: (text: string) => void): void {
    writer(this.markup);
  }
}

/** XML text that is well-formed, as a child for other elements. */
export const ready = (text: string): Element => new Ready(text);

/** Text made safe for an attribute in single quotes. */
export const escapeAttribute = (text: string): string =>
  text.replace(/[&<>'"]/g, (character) => `&#${character.charCodeAt(0)};`);
