import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import xml, { type Element } from '@xmpp/xml';

/** A component that says whatever it is told to, for any number of people, and hears everything that they are told. */
export interface Crowd {
  /** Puts text on the stream as it stands, and resolves when the server reads on. */
  write(text: string): Promise<void>;
  /** Resolves when everything written before was routed; rejects when the stream is down. */
  routed(): Promise<void>;
  stop(): void;
}

/** Connects by XEP-0114. It answers nothing by itself. */
export async function startCrowd(options: {
  readonly port: number;
  readonly domain: string;
  readonly secret: string;
  readonly onStanza: (stanza: Element) => void;
}): Promise<Crowd> {
  const { port, domain, secret, onStanza } = options;
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay();
  await once(socket, 'connect');
  const gone = once(socket, 'close').then(() => {
    throw new Error(`the stream of ${domain} is down: ${last}`);
  });
  gone.catch(() => undefined);
  let last = '';
  const barriers = new Map<string, () => void>();
  const parser = new xml.Parser();
  const opened = new Promise<string>((resolve) => {
    parser.on('start', (header: Element) => resolve(String(header.attrs['id'])));
  });
  const welcomed = new Promise<void>((resolve) => {
    parser.on('element', (stanza: Element) => {
      if (stanza.is('handshake')) return resolve();
      const barrier = stanza.getChild('ping') && barriers.get(String(stanza.attrs['id']));
      if (barrier) return barrier();
      onStanza(stanza);
    });
  });
  socket.on('data', (chunk: string) => {
    last = chunk.slice(-500);
    parser.write(chunk);
  });
  socket.on('error', () => undefined);
  const write = async (text: string) => {
    if (!socket.write(text)) await Promise.race([once(socket, 'drain'), gone]);
  };

  await write(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
  );
  const digest = createHash('sha1')
    .update((await opened) + secret)
    .digest('hex');
  await write(`<handshake>${digest}</handshake>`);
  await Promise.race([welcomed, gone]);

  return {
    write,
    async routed() {
      const id = `barrier-${barriers.size}`;
      const echo = new Promise<void>((resolve) => barriers.set(id, resolve));
      await write(`<iq type='get' id='${id}' from='${domain}' to='${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await Promise.race([echo, gone]);
    },
    stop: () => void socket.destroy(),
  };
}
