import type { Element } from '@xmpp/xml';
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

/** A whole number in text. @throws Fault `bad-request` when it is none */
export function wholeNumber(text: string, name: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Fault('bad-request', `"${name}" must be a whole number`);
  return Number(text);
}

/** Text made safe for an attribute in single quotes. */
export const escapeAttribute = (text: string): string =>
  text.replace(/[&<>'"]/g, (character) => `&#${character.charCodeAt(0)};`);
