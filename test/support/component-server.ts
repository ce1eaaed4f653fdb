import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createInbox, type Inbox } from '../../prosody/inbox.js';
import { freePort } from '../../prosody/servers.js';

const HEADER =
  `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' ` +
  `xmlns:stream='http://etherx.jabber.org/streams' from='feeds.localhost' id='stream-id'>`;
const PING = /<iq [^>]*><ping xmlns="urn:xmpp:ping"\/><\/iq>/g;

/** A component that connected, as its server sees it. Everything is bytes: nothing here insists on XML. */
export interface Peer {
  readonly socket: Socket;
  /** All that it said after the handshake. */
  readonly said: () => string;
  /** Resolves with what matches in all that it said, as soon as something does. */
  heard(pattern: RegExp): Promise<RegExpMatchArray>;
  say(bytes: string | Uint8Array): void;
  /** Resolves when its socket is gone. */
  readonly gone: Promise<void>;
}

/** The server side of XEP-0114 for what no real server can be made to do on request. */
export interface ComponentServer {
  readonly port: number;
  readonly service: string;
  readonly secret: string;
  /** Those who came through the handshake, in order. */
  readonly peers: Inbox<Peer>;
  readonly stop: () => Promise<void>;
}

/** Starts one that lets everybody in who knows the secret, echoes pings and closes as a real server does. */
export async function startComponentServer(
  options: {
    readonly port?: number;
    /** What to say to a good handshake. */
    readonly welcome?: string;
    /** Whether pings come back. */
    readonly echoes?: boolean;
    /** Whether a closing tag is answered. */
    readonly closes?: boolean;
  } = {},
): Promise<ComponentServer> {
  const { port = await freePort(), welcome = '<handshake/>', echoes = true, closes = true } = options;
  const secret = 'secret';
  const peers = createInbox<Peer>('components');
  const sockets = new Set<Socket>();
  const digest = createHash('sha1').update(`stream-id${secret}`).digest('hex');

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setEncoding('utf8');
    socket.setNoDelay(true);
    // A reset is one of the things we are here for.
    socket.on('error', () => undefined);
    const gone = once(socket, 'close').then(() => void sockets.delete(socket));
    let greeted = false;
    let admitted = false;
    let text = '';
    let unread = '';
    const peer: Peer = {
      socket,
      said: () => text,
      async heard(pattern) {
        let match = pattern.exec(text);
        while (!match) {
          await Promise.race([once(socket, 'data'), gone]);
          if (socket.closed && !pattern.test(text)) throw new Error(`It left without saying ${pattern.source}`);
          match = pattern.exec(text);
        }
        return match;
      },
      say: (bytes) => void socket.write(bytes),
      gone,
    };
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!greeted && text.includes('<stream:stream')) {
        greeted = true;
        socket.write(HEADER);
      }
      if (!admitted) {
        if (!text.includes(`<handshake>${digest}</handshake>`)) return;
        admitted = true;
        text = '';
        socket.write(welcome);
        peers.push(peer);
        return;
      }
      unread += chunk;
      let done = 0;
      for (const { 0: ping, index } of unread.matchAll(PING)) {
        if (echoes) socket.write(ping);
        done = index + ping.length;
      }
      if (closes && unread.endsWith('</stream:stream>')) socket.end('</stream:stream>');
      // A ping may be cut by the end of a segment, but it is not longer than this.
      unread = unread.slice(Math.max(done, unread.length - 500));
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  return {
    port,
    service: `xmpp://127.0.0.1:${port}`,
    secret,
    peers,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
