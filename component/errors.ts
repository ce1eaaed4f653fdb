import xml, { type Element } from '@xmpp/xml';
import type { Fault, FaultCode } from '../lib/faults.js';
import { NS } from './stanza.js';

type ErrorType = 'auth' | 'cancel' | 'modify' | 'wait';
type Condition =
  | 'bad-request'
  | 'conflict'
  | 'feature-not-implemented'
  | 'forbidden'
  | 'gone'
  | 'internal-server-error'
  | 'item-not-found'
  | 'not-acceptable'
  | 'not-allowed'
  | 'not-authorized'
  | 'policy-violation'
  | 'service-unavailable'
  | 'unexpected-request';

/** [type, RFC 6120 condition, XEP-0060 condition]. A new FaultCode does not compile until it has a line. */
const CONDITIONS = {
  'bad-request': ['modify', 'bad-request'],
  'closed-node': ['cancel', 'not-allowed', 'closed-node'],
  conflict: ['cancel', 'conflict'],
  'feed-unreachable': ['cancel', 'item-not-found'],
  forbidden: ['auth', 'forbidden'],
  gone: ['modify', 'gone'],
  'invalid-jid': ['modify', 'bad-request', 'invalid-jid'],
  'invalid-options': ['modify', 'bad-request', 'invalid-options'],
  'invalid-payload': ['modify', 'bad-request', 'invalid-payload'],
  'invalid-subid': ['modify', 'not-acceptable', 'invalid-subid'],
  'item-forbidden': ['modify', 'bad-request', 'item-forbidden'],
  'item-not-found': ['cancel', 'item-not-found'],
  'item-required': ['modify', 'bad-request', 'item-required'],
  'jid-required': ['modify', 'bad-request', 'jid-required'],
  'node-not-found': ['cancel', 'item-not-found'],
  'node-required': ['modify', 'bad-request', 'nodeid-required'],
  'not-a-feed': ['modify', 'not-acceptable'],
  'not-acceptable': ['modify', 'not-acceptable'],
  'not-allowed': ['cancel', 'not-allowed'],
  'not-approved': ['auth', 'not-authorized', 'not-subscribed'],
  'not-subscribed': ['cancel', 'unexpected-request', 'not-subscribed'],
  'payload-required': ['modify', 'bad-request', 'payload-required'],
  'payload-too-big': ['modify', 'not-acceptable', 'payload-too-big'],
  'pending-subscription': ['auth', 'not-authorized', 'pending-subscription'],
  'precondition-not-met': ['cancel', 'conflict', 'precondition-not-met'],
  'subid-required': ['modify', 'bad-request', 'subid-required'],
  'too-many-items': ['cancel', 'not-allowed', 'max-items-exceeded'],
  'too-many-subscriptions': ['wait', 'policy-violation', 'too-many-subscriptions'],
  unavailable: ['wait', 'internal-server-error'],
  unsupported: ['cancel', 'feature-not-implemented', 'unsupported'],
  'unsupported-access-model': ['modify', 'not-acceptable', 'unsupported-access-model'],
} as const satisfies Record<FaultCode, readonly [ErrorType, Condition, string?]>;

/** A refusal as a stanza error (RFC 6120 8.3, XEP-0060 table of errors). */
export function errorElement({ code, message, feature, uri }: Fault): Element {
  const [type, condition, detail] = CONDITIONS[code] as readonly [ErrorType, Condition, string?];
  // RFC 6120 8.3.3.5: <gone/> says where it is now.
  const children = [xml(condition, NS.stanzas, ...(uri ? [uri] : []))];
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
