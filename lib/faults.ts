/**
 * Why a use case refused. The words are ours: component/errors.ts turns them into stanza errors and
 * scheduler/intake.ts into HTTP statuses.
 */
export type FaultCode =
  | 'bad-request'
  | 'node-required'
  | 'jid-required'
  | 'invalid-jid'
  | 'not-a-feed'
  | 'feed-unreachable'
  | 'node-not-found'
  | 'item-not-found'
  | 'not-subscribed'
  | 'too-many-subscriptions'
  | 'forbidden'
  | 'unsupported'
  | 'unavailable';

/** A refusal: the mistake of whoever asked, or (only `unavailable`) a store that is away for a moment. */
export class Fault extends Error {
  override readonly name = 'Fault';

  constructor(
    readonly code: FaultCode,
    message?: string,
    options?: ErrorOptions & { readonly feature?: string },
  ) {
    super(message ?? code, options);
    this.feature = options?.feature;
  }

  /** With `unsupported`: the XEP-0060 feature that was asked for. */
  readonly feature: string | undefined;
}
