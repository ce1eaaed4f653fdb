import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

/** A component that is nothing but a socket: it never parses, so what it measures is the server. */
export interface BareComponent {
  /** Writes serialised stanzas as fast as the server reads, and resolves when the server has routed them all. */
  push(stanzas: readonly string[]): Promise<void>;
  close(): void;
}

/** Connects by XEP-0114 and reads away whatever comes. */
export async function bareComponent(port: number, domain: string, secret: string): Promise<BareComponent> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay();
  await once(socket, 'connect');
  let tail = '';
  let waiting: { readonly text: string; readonly resolve: () => void } | undefined;
  const seen = (text: string) => new Promise<void>((resolve) => (waiting = { text, resolve }));
  socket.on('data', (chunk: string) => {
    const text = tail + chunk;
    tail = text.slice(-64);
    if (!waiting || !text.includes(waiting.text)) return;
    waiting.resolve();
    waiting = undefined;
  });

  const opened = once(socket, 'data') as Promise<[string]>;
  socket.write(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
  );
  const [header] = await opened;
  const id = /id=['"]([^'"]+)/.exec(header)?.[1] ?? '';
  const welcome = seen('<handshake');
  socket.write(
    `<handshake>${createHash('sha1')
      .update(id + secret)
      .digest('hex')}</handshake>`,
  );
  await welcome;

  let barriers = 0;
  return {
    async push(stanzas) {
      for (let i = 0; i < stanzas.length; i += 50) {
        if (!socket.write(stanzas.slice(i, i + 50).join(''))) await once(socket, 'drain');
      }
      const barrier = `barrier-${++barriers}.`;
      const echoed = seen(barrier);
      socket.write(`<iq type='get' id='${barrier}' from='${domain}' to='${domain}'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await echoed;
    },
    close: () => socket.destroy(),
  };
}
