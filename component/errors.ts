import xml, { type Element } from '@xmpp/xml';
import type { Fault, FaultCode } from '../lib/faults.js';
import { NS } from './stanza.js';

type ErrorType = 'auth' | 'cancel' | 'modify' | 'wait';
type Condition =
  | 'bad-request'
  | 'feature-not-implemented'
  | 'forbidden'
  | 'internal-server-error'
  | 'item-not-found'
  | 'not-acceptable'
  | 'policy-violation'
  | 'service-unavailable'
  | 'unexpected-request';

/** [type, RFC 6120 condition, XEP-0060 condition]. A new FaultCode does not compile until it has a line. */
const CONDITIONS = {
  'bad-request': ['modify', 'bad-request'],
  'node-required': ['modify', 'bad-request', 'nodeid-required'],
  'jid-required': ['modify', 'bad-request', 'jid-required'],
  'invalid-jid': ['modify', 'bad-request', 'invalid-jid'],
  'not-a-feed': ['modify', 'not-acceptable'],
  'feed-unreachable': ['cancel', 'item-not-found'],
  'node-not-found': ['cancel', 'item-not-found'],
  'item-not-found': ['cancel', 'item-not-found'],
  'not-subscribed': ['cancel', 'unexpected-request', 'not-subscribed'],
  'too-many-subscriptions': ['wait', 'policy-violation', 'too-many-subscriptions'],
  forbidden: ['auth', 'forbidden'],
  unsupported: ['cancel', 'feature-not-implemented', 'unsupported'],
  unavailable: ['wait', 'internal-server-error'],
} as const satisfies Record<FaultCode, readonly [ErrorType, Condition, string?]>;

/** A refusal as a stanza error (RFC 6120 8.3, XEP-0060 table of errors). */
export function errorElement({ code, message, feature }: Fault): Element {
  const [type, condition, detail] = CONDITIONS[code] as readonly [ErrorType, Condition, string?];
  const children = [xml(condition, NS.stanzas)];
  if (message !== code) children.push(xml('text', { xmlns: NS.stanzas, 'xml:lang': 'en' }, message));
  // XEP-0060 <unsupported/> must name the feature, so without one it is left out.
  if (detail !== undefined && (detail !== 'unsupported' || feature)) {
    children.push(xml(detail, { xmlns: NS.pubsubErrors, ...(feature && { feature }) }));
  }
  return xml('error', { type }, ...children);
}

/** Nobody here knows this request (RFC 6120 8.3.3.19). */
export const unknownRequest = (): Element => xml('error', { type: 'cancel' }, xml('service-unavailable', NS.stanzas));

/** Our own mistake (RFC 6120 8.3.3.6): nothing the asker could change. */
export const ourMistake = (): Element => xml('error', { type: 'cancel' }, xml('internal-server-error', NS.stanzas));
