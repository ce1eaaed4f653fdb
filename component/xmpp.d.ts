/** @xmpp/component 0.13.1 comes without types: this is the slice of it that connection.ts uses. */
declare module '@xmpp/component' {
  import type { EventEmitter } from 'node:events';
  import type { Socket } from 'node:net';
  import type { Element } from '@xmpp/xml';

  /**
   * Emits `error` (a listener is a must), `stanza` and `nonza` (an Element), `close` (the server closed the stream).
   * Each stanza is emitted as `element` first, which is what the library's own IQ layer listens to.
   */
  export interface Component extends EventEmitter {
    /** There from the moment connect() is called until it has closed. */
    readonly socket: Socket | null;
    /** How long it waits for the stream header and for the handshake, in milliseconds. */
    timeout: number;
    /** Starts by itself with the entity. */
    readonly reconnect: { stop(): void };
    connect(service: string): Promise<void>;
    /** Once the server has opened its stream, the handshake follows by itself. */
    open(options: { readonly domain: string; readonly timeout: number }): Promise<Element>;

    // Not meant to be public, but the only places where its defects can be mended.
    _onData(data: Buffer | string): void;
    _onStreamError(error: Element): void;
  }

  export function component(options: {
    readonly service: string;
    readonly domain: string;
    /** Hashed as latin1. */
    readonly password: string;
  }): Component;
}
