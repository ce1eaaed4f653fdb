import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Element } from '@xmpp/xml';
import { createFollower, type Follower, type FollowerPort } from '../../prosody/reader.js';

interface Component extends EventEmitter {
  readonly socket: Socket;
  readonly reconnect: { delay: number; stop(): void };
  readonly iqCaller: { request(iq: Element): Promise<Element> };
  start(): Promise<unknown>;
  stop(): Promise<unknown>;
  send(stanza: Element): Promise<void>;
}

const { component } = createRequire(import.meta.url)('@xmpp/component') as {
  component: (options: { service: string; domain: string; password: string }) => Component;
};

/** A second component: any number of followers without accounts, passwords or TLS. */
export interface Tester {
  readonly domain: string;
  /** The same follower every time for the same name: `name`@tester.localhost. */
  as(name: string): Follower;
  /** Sends any stanza as it stands. */
  send(stanza: Element): Promise<void>;
  /** Hears every stanza that comes from now on, answers too, whoever it is for. */
  watch(onStanza: (stanza: Element) => void): void;
  stop(): Promise<void>;
}

const DOMAIN = 'tester.localhost';

/** Connects to `server`, such as xmpp://127.0.0.1:5347, and reconnects quickly when it was away. */
export async function startTester(server: string, secret: string, service: string): Promise<Tester> {
  const link = component({ service: server, domain: DOMAIN, password: secret });
  const followers = new Map<string, Follower & FollowerPort>();

  link.reconnect.delay = 50;
  link.on('error', () => undefined);
  link.on('connect', () => link.socket.setEncoding('utf8'));
  link.on('stanza', (stanza: Element) => {
    if (!stanza.is('iq')) followers.get(String(stanza.attrs['to']).split('/')[0]!)?.receive(stanza);
  });
  await link.start();

  const ask = (from: string, iq: Element) => {
    iq.attrs['from'] = from;
    return link.iqCaller.request(iq);
  };

  return {
    domain: DOMAIN,
    as(name) {
      const jid = `${name}@${DOMAIN}`;
      const follower = followers.get(jid) ?? createFollower(jid, service, (iq) => ask(jid, iq));
      followers.set(jid, follower);
      return follower;
    },
    send: (stanza) => link.send(stanza),
    watch: (onStanza) => void link.on('stanza', onStanza),
    async stop() {
      link.reconnect.stop();
      await link.stop().catch(() => undefined);
      for (const follower of followers.values()) follower.close('the tester has left');
    },
  };
}
