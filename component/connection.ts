import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { component, type Component } from '@xmpp/component';
import jid from '@xmpp/jid';
import xml, { type Element } from '@xmpp/xml';

const NS_PING = 'urn:xmpp:ping';
const NS_STREAM_ERRORS = 'urn:ietf:params:xml:ns:xmpp-streams';
const CLOSING_TAG = '</stream:stream>';

/** Why a stream ended, or did not come to be. */
export interface Down {
  /**
   * `closed`: one side closed it in good order, or the server just hung up. `stream-error`: the server said what it
   * holds against us. `timeout`: it did not react in time. `socket`: the network failed, or what came was not XML.
   */
  readonly kind: 'closed' | 'stream-error' | 'timeout' | 'socket';
  /** With `stream-error`: the condition (RFC 6120 section 4.9.3), such as `conflict` or `not-well-formed`. */
  readonly condition?: string;
  readonly text?: string;
}

/** Nothing can be sent, or what was awaited cannot come any more, because the stream is down. */
export class StreamDown extends Error {
  override readonly name = 'StreamDown';

  /** `why` is missing when there was no stream yet. */
  constructor(readonly why: Down | undefined) {
    super(['stream down', why?.kind, why?.condition, why?.text].filter(Boolean).join(': '));
  }
}

/** A request was not answered in time. The stream is fine. */
export class Timeout extends Error {
  override readonly name = 'Timeout';
}

/** How long we are patient, in milliseconds. */
export interface Timeouts {
  /** From the first packet of a connection to the end of the handshake. */
  readonly connectMs: number;
  /** For the server to read on when the socket is full. */
  readonly drainMs: number;
  /** For the next echo, as long as one is owed. */
  readonly echoMs: number;
  /** Between two looks at whether the server is still there. */
  readonly idleMs: number;
  /** For the answer to a request, unless the request says otherwise. */
  readonly requestMs: number;
  /** For the server to close its side of the stream. */
  readonly closeMs: number;
  /** The shortest and the longest pause before the next attempt to connect. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

const TIMEOUTS: Timeouts = {
  connectMs: 10_000,
  drainMs: 30_000,
  echoMs: 15_000,
  idleMs: 10_000,
  requestMs: 30_000,
  closeMs: 2_000,
  retryMinMs: 100,
  retryMaxMs: 5_000,
};

/** What a connection is made of. */
export interface ConnectionOptions {
  /** `xmpp://host:port` of the server's component port. */
  readonly service: string;
  /** Our own address. */
  readonly domain: string;
  readonly secret: string;
  /** Gets every stanza but the answers to our requests and the echoes of our barriers. */
  readonly onStanza: (stanza: Element) => Promise<void> | void;
  /** Gets what onStanza, onAttemptFailed or a listener threw or rejected with. It must not throw itself. */
  readonly onError: (error: unknown) => void;
  /** An attempt to connect failed; the next one follows after `retryMs`. */
  readonly onAttemptFailed?: (why: Down, retryMs: number) => void;
  readonly timeouts?: Partial<Timeouts>;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
  /** Evenly spread over [0, 1). */
  readonly random?: () => number;
  /** Resolves or rejects when the time is over or the signal aborts. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * The component's stream (XEP-0114): one at a time, built anew whenever it breaks.
 *
 * Nothing is queued and nothing is sent again: there are no acknowledgements on such a stream (XEP-0198 is not for
 * components), so what was written counts as delivered only when a later confirm() has resolved.
 */
export interface Connection {
  /** Whether the handshake is done and nothing has gone wrong since. */
  readonly up: boolean;
  /** Connects and keeps connected until stop(); the pauses between attempts grow and are jittered. */
  start(): void;
  /** Closes the stream, then the socket, within a deadline. Idempotent, never rejects; start() may follow. */
  stop(): Promise<void>;
  /**
   * Puts one or more serialised stanzas on the stream, in the order of the calls. They must carry `from` and come out
   * of `serialise`: one illegal character costs the stream.
   * Resolves when the socket takes more; rejects with StreamDown, also when the server does not read on in time.
   */
  write(stanzas: string): Promise<void>;
  /** Serialises and writes. Fills in `from` with our own address when it is missing. */
  send(stanza: Element): Promise<void>;
  /**
   * The barrier: an XMPP ping (XEP-0199) to our own address, which the server hands back to us in stream order.
   * Resolves when everything written before has been routed; rejects with StreamDown when that will never be known.
   * Many may be in flight.
   */
  confirm(): Promise<void>;
  /**
   * Sends an IQ of ours, `get` or `set`, under a fresh id that is written into it. Resolves with the answer, result or error; it must come from
   * where the request went (RFC 6120 section 8.1.2.1). Rejects with Timeout, or with StreamDown at once when the stream
   * ends.
   */
  request(iq: Element, timeoutMs?: number): Promise<Element>;
  /** Called each time a stream is up, before its first stanza. */
  onUp(listener: () => void): void;
  /**
   * Called once for each stream that was up, also when stop() ended it: when its socket is closed and all who waited on
   * it have been told.
   */
  onDown(listener: (why: Down) => void): void;
}

/** Makes a connection that does nothing until start(). */
export function createConnection(options: ConnectionOptions): Connection {
  const { onStanza, onError, onAttemptFailed, now = () => performance.now(), random = Math.random } = options;
  const pause = options.pause ?? ((ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }));
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const upListeners: (() => void)[] = [];
  const downListeners: ((why: Down) => void)[] = [];
  let stream: Stream | undefined;
  let lastDown: Down | undefined;
  let run = new AbortController();
  run.abort();
  let finished = Promise.resolve();

  /** Calls out of here: whatever that throws, now or later, is reported and stops nothing. */
  function tell<Facts extends unknown[]>(listener: (...facts: Facts) => unknown, ...facts: Facts): void {
    (async () => {
      await listener(...facts);
    })().catch(onError);
  }

  async function keepConnected(signal: AbortSignal): Promise<void> {
    const stopped = () => signal.aborted;
    for (let failures = 0; !stopped(); failures += 1) {
      const opened = now();
      stream = openStream(options, timeouts, {
        up() {
          for (const listener of upListeners) tell(listener);
        },
        stanza: (stanza) => tell(onStanza, stanza),
      });
      const { why, wasUp } = await stream.ended;
      stream = undefined;
      lastDown = why;

      // Two that fight for one address, or a server that drops us at once, must not see us come back at full speed.
      if (wasUp && why.condition !== 'conflict' && now() - opened >= timeouts.retryMaxMs) failures = 0;
      const ceiling = Math.min(timeouts.retryMaxMs, timeouts.retryMinMs * 2 ** (failures + 1));
      const retryMs = (ceiling / 2) * (1 + random());
      if (wasUp) for (const listener of downListeners) tell(listener, why);
      if (!wasUp && !stopped() && onAttemptFailed) tell(onAttemptFailed, why, retryMs);
      await pause(retryMs, signal).catch(() => undefined);
    }
  }

  /** The stream if it can be used now. */
  function current(): Stream {
    if (!stream?.up) throw new StreamDown(stream?.down ?? lastDown);
    return stream;
  }

  async function write(stanzas: string): Promise<void> {
    await current().write(stanzas);
  }

  function serialised(stanza: Element): string {
    stanza.attrs.from ??= options.domain;
    return serialise(stanza);
  }

  return {
    get up() {
      return stream?.up ?? false;
    },
    start() {
      if (!run.signal.aborted) return;
      const { signal } = (run = new AbortController());
      finished = finished.then(() => keepConnected(signal));
    },
    stop() {
      run.abort();
      stream?.close();
      return finished;
    },
    write,
    send: async (stanza) => write(serialised(stanza)),
    confirm: async () => current().confirm(),
    async request(iq, timeoutMs = timeouts.requestMs) {
      const to = attribute(iq, 'to');
      if (to === undefined) throw new TypeError('A request needs an addressee');
      const id = randomUUID();
      iq.attrs.id = id;
      return current().request(serialised(iq), id, to, timeoutMs);
    },
    onUp: (listener) => void upListeners.push(listener),
    onDown: (listener) => void downListeners.push(listener),
  };
}

// Char of XML 1.0, section 2.2. With the `u` flag a surrogate is met here only if its other half is missing.
const ILLEGAL = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

/** The element as text for the stream, without the characters that XML 1.0 has no way to write (section 2.2). */
export function serialise(element: Element): string {
  return element.toString().replace(ILLEGAL, '');
}

/** One stream, from the first packet to the last. */
interface Stream {
  readonly up: boolean;
  readonly down: Down | undefined;
  /** Resolves when the socket is closed, whatever happened. */
  readonly ended: Promise<{ readonly why: Down; readonly wasUp: boolean }>;
  write(stanzas: string): Promise<void>;
  confirm(): Promise<void>;
  request(iq: string, id: string, to: string, timeoutMs: number): Promise<Element>;
  close(): void;
}

function openStream(
  { service, domain, secret }: Pick<ConnectionOptions, 'service' | 'domain' | 'secret'>,
  { connectMs, drainMs, echoMs, idleMs, closeMs }: Timeouts,
  on: { readonly up: () => void; readonly stanza: (stanza: Element) => void },
): Stream {
  // The library hashes the secret as latin1, servers hash UTF-8.
  const entity = component({ service, domain, password: Buffer.from(secret).toString('latin1') });
  entity.reconnect.stop();
  // Its IQ layer believes an answer from anybody, answers requests by itself and throws at a malformed address.
  entity.removeAllListeners('element');
  // Our own deadline covers everything; the library's, which do not, only have to stay out of its way.
  entity.timeout = 2 * connectMs;

  let up = false;
  let wasUp = false;
  let down: Down | undefined;
  const losers = new Set<(lost: StreamDown) => void>();
  const echoes = new Map<string, () => void>();
  const answers = new Map<string, { readonly from: string; readonly resolve: (answer: Element) => void }>();
  let draining: Promise<void> | undefined;
  let echoDue: NodeJS.Timeout | undefined;
  let look: NodeJS.Timeout | undefined;

  // The parser throws at an unknown entity, and the library at whatever comes after an error or a closing tag. From
  // inside a socket's listener that would end the process.
  const parse = entity._onData.bind(entity);
  entity._onData = (data) => {
    try {
      parse(data);
    } catch (error) {
      end({ kind: 'socket', text: reason(error) });
    }
  };
  // The library's own would also follow <see-other-host/>, with a stream that nobody watches.
  entity._onStreamError = (error) => void end(streamError(error), 'politely');
  entity.on('error', (error) => void end({ kind: 'socket', text: reason(error) }));
  entity.on('nonza', (element: Element) => {
    // The server's handshake is empty (XEP-0114 section 3). Ours, with the hash, comes back where a socket on loopback
    // got connected to itself, which happens when nobody listens on a port of the ephemeral range.
    if (!up && !down && element.is('handshake') && element.getText() === '') begin();
  });
  entity.on('stanza', (stanza: Element) => {
    if (up && !claim(stanza)) on.stanza(stanza);
  });
  entity.on('close', () => {
    close();
    socket.end();
  });

  const connected = entity.connect(service);
  const socket = socketOf(entity);
  // A character may be spread over two segments.
  socket.setEncoding('utf8');
  // A barrier right behind a stanza must not wait until that one is acknowledged.
  socket.setNoDelay(true);
  socket.setKeepAlive(true, idleMs);
  socket.once('end', () => end({ kind: 'closed' }));
  const connectDue = setTimeout(() => end({ kind: 'timeout', text: 'no handshake' }), connectMs);
  connected
    .then(() => entity.open({ domain, timeout: entity.timeout }))
    .catch((error: unknown) => end({ kind: 'socket', text: reason(error) }));

  // A socket closes in a later turn than whatever ended it: all who waited on this stream have heard of it by then.
  const ended = new Promise<{ why: Down; wasUp: boolean }>((resolve) => {
    socket.once('close', () => resolve({ why: end({ kind: 'closed' }), wasUp }));
  });

  // Not with 'online' of the library, which comes too late for stanzas in the same segment as the handshake.
  function begin(): void {
    clearTimeout(connectDue);
    up = wasUp = true;
    // If there is no echo, that ends the stream; there is nobody else to tell.
    look = setInterval(() => void confirm().catch(() => undefined), idleMs);
    on.up();
  }

  /** Ends the stream for everybody here; the first reason counts. */
  function end(why: Down, manner: 'politely' | 'at once' = 'at once'): Down {
    if (down) return down;
    down = why;
    up = false;
    clearTimeout(connectDue);
    clearTimeout(echoDue);
    clearInterval(look);
    const lost = new StreamDown(why);
    for (const lose of losers) lose(lost);
    if (manner === 'politely') {
      const overdue = setTimeout(() => socket.destroy(), closeMs);
      socket.once('close', () => clearTimeout(overdue));
    } else {
      // With an error, because that is what ends the library's waits and stops their timers.
      socket.destroy(lost);
    }
    return why;
  }

  /** Closes our side (RFC 6120 section 4.4); the server's closing tag, or the lack of one, ends the socket. */
  function close(): void {
    if (down) return;
    if (up) socket.write(CLOSING_TAG);
    end({ kind: 'closed' }, up ? 'politely' : 'at once');
  }

  /** A promise that the end of this stream rejects. What `set` returns is called when it is settled either way. */
  function whileUp<T>(set: (resolve: (value: T) => void, reject: (error: Error) => void) => () => void): Promise<T> {
    if (!up) return Promise.reject(new StreamDown(down));
    let forget = (): void => undefined;
    return new Promise<T>((resolve, reject) => {
      const unset = set(resolve, reject);
      losers.add(reject);
      forget = () => {
        losers.delete(reject);
        unset();
      };
    }).finally(() => forget());
  }

  function write(stanzas: string): Promise<void> {
    if (!up) return Promise.reject(new StreamDown(down));
    if (socket.write(stanzas)) return Promise.resolve();
    draining ??= whileUp<void>((resolve) => {
      const overdue = setTimeout(() => end({ kind: 'timeout', text: 'the server stopped reading' }), drainMs);
      socket.once('drain', () => {
        draining = undefined;
        resolve();
      });
      return () => clearTimeout(overdue);
    });
    return draining;
  }

  function awaitEcho(): NodeJS.Timeout {
    return setTimeout(() => end({ kind: 'timeout', text: 'no echo' }), echoMs);
  }

  async function confirm(): Promise<void> {
    const id = randomUUID();
    const ping = xml('iq', { type: 'get', from: domain, to: domain, id }, xml('ping', NS_PING));
    const echoed = whileUp<void>((resolve) => {
      echoes.set(id, resolve);
      echoDue ??= awaitEcho();
      return () => echoes.delete(id);
    });
    await Promise.all([echoed, write(serialise(ping))]);
  }

  async function request(iq: string, id: string, to: string, timeoutMs: number): Promise<Element> {
    const answered = whileUp<Element>((resolve, reject) => {
      answers.set(id, { from: to, resolve });
      const late = setTimeout(() => reject(new Timeout(`No answer from ${to} in ${timeoutMs} ms`)), timeoutMs);
      return () => {
        clearTimeout(late);
        answers.delete(id);
      };
    });
    const [answer] = await Promise.all([answered, write(iq)]);
    return answer;
  }

  /** Whether this is an echo or an answer that somebody waits for; if so, they have it now. */
  function claim(stanza: Element): boolean {
    if (!stanza.is('iq')) return false;
    const [id = '', from = '', type] = [attribute(stanza, 'id'), attribute(stanza, 'from'), attribute(stanza, 'type')];
    const echo = echoes.get(id);
    // A ping that comes back as an error has been routed as well.
    if (echo && sameAddress(from, domain)) {
      echo();
      echoes.delete(id);
      // Echoes come in order. As long as they come, the server works through what it was sent, however much that is.
      clearTimeout(echoDue);
      echoDue = echoes.size > 0 ? awaitEcho() : undefined;
      return true;
    }
    const answer = type === 'result' || type === 'error' ? answers.get(id) : undefined;
    if (!answer || !sameAddress(from, answer.from)) return false;
    answer.resolve(stanza);
    return true;
  }

  return {
    get up() {
      return up;
    },
    get down() {
      return down;
    },
    ended,
    write,
    confirm,
    request,
    close,
  };
}

function socketOf(entity: Component): Socket {
  if (!entity.socket) throw new Error('@xmpp/component has no socket between connect() and its end');
  return entity.socket;
}

/** RFC 6120 section 4.9.2. */
function streamError(error: Element): Down {
  const children = error.getChildElements().filter((child) => child.getNS() === NS_STREAM_ERRORS);
  const condition = children.find(({ name }) => name !== 'text')?.name ?? 'undefined-condition';
  const text = children.find(({ name }) => name === 'text')?.getText();
  return { kind: 'stream-error', condition, ...(text !== undefined && { text }) };
}

function attribute(element: Element, name: string): string | undefined {
  const value: unknown = element.attrs[name];
  return typeof value === 'string' ? value : undefined;
}

function sameAddress(one: string, other: string): boolean {
  try {
    return jid(one).equals(jid(other));
  } catch {
    return false;
  }
}

function reason(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error);
}
