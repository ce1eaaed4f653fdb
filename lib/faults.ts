/**
 * Why a use case refused. The words are ours: component/errors.ts turns them into stanza errors and
 * scheduler/intake.ts into HTTP statuses.
 */
export type FaultCode =
  | 'bad-request'
  | 'closed-node'
  | 'conflict'
  | 'feed-unreachable'
  | 'forbidden'
  | 'gone'
  | 'invalid-jid'
  | 'invalid-options'
  | 'invalid-payload'
  | 'invalid-subid'
  | 'item-forbidden'
  | 'item-not-found'
  | 'item-required'
  | 'jid-required'
  | 'node-not-found'
  | 'node-required'
  | 'not-a-feed'
  | 'not-acceptable'
  | 'not-allowed'
  | 'not-approved'
  | 'not-subscribed'
  | 'payload-required'
  | 'payload-too-big'
  | 'pending-subscription'
  | 'precondition-not-met'
  | 'subid-required'
  | 'too-many-items'
  | 'too-many-subscriptions'
  | 'unavailable'
  | 'unsupported'
  | 'unsupported-access-model';

/** A refusal: the mistake of whoever asked, or (only `unavailable`) a store that is away for a moment. */
export class Fault extends Error {
  override readonly name = 'Fault';

  constructor(
    readonly code: FaultCode,
    message?: string,
    options?: ErrorOptions & { readonly feature?: string; readonly uri?: string },
  ) {
    super(message ?? code, options);
    this.feature = options?.feature;
    this.uri = options?.uri;
  }

  /** With `unsupported`: the XEP-0060 feature that was asked for. */
  readonly feature: string | undefined;
  /** With `gone`: where the node is now, an xmpp: URI (RFC 5122). */
  readonly uri: string | undefined;
}
