import { rest } from './rest.js';

/** A way of saying "this was updated": what comes in, which URLs it is about, and what the sender wants to hear. */
export interface PingProtocol {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** The URLs that the ping is about, as they were sent. @throws Fault `bad-request` */
  readonly read: (body: string, query: URLSearchParams) => readonly string[];
  readonly reply: (refusal: string | undefined) => Answer;
}

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Every ping protocol. A new one is one file and one line here. */
export const PINGS: readonly PingProtocol[] = [rest];
