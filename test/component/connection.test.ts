import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import {
  createConnection,
  serialise,
  StreamDown,
  Timeout,
  type Connection,
  type ConnectionOptions,
  type Down,
} from '../../component/connection.js';
import { createInbox } from '../../prosody/inbox.js';
import { freePort, startProsody, type ProsodyServer } from '../../prosody/servers.js';
import { startComponentServer, type ComponentServer, type Peer } from '../support/component-server.js';

const DOMAIN = 'feeds.localhost';
const FOREVER = 3_600_000;

/** What must be undone after a test, last one first. */
const cleanup: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

/** A connection whose pauses take no time, and everything it told. */
function connect(options: Partial<ConnectionOptions> & { service: string }) {
  const stanzas = createInbox<Element>('stanzas');
  const errors = createInbox<unknown>('errors');
  const ups = createInbox<true>('ups');
  const downs = createInbox<Down>('downs');
  const failed = createInbox<Down & { retryMs: number }>('failed attempts');
  const connection = createConnection({
    domain: DOMAIN,
    secret: 'secret',
    onStanza: (stanza) => stanzas.push(stanza),
    onError: (error) => errors.push(error),
    onAttemptFailed: (why, retryMs) => failed.push({ ...why, retryMs }),
    pause: () => turn(),
    ...options,
  });
  connection.onUp(() => ups.push(true));
  connection.onDown((why) => downs.push(why));
  cleanup.push(() => connection.stop());
  connection.start();
  return { connection, stanzas, errors, ups, downs, failed };
}

/** A server that does as it is told, and a connection that is up. */
async function bench(
  options: Partial<ConnectionOptions> = {},
  server: Parameters<typeof startComponentServer>[0] = {},
): Promise<ReturnType<typeof connect> & { server: ComponentServer; peer: Peer }> {
  const started = await startComponentServer(server);
  cleanup.push(started.stop);
  const told = connect({ service: started.service, ...options });
  const peer = await started.peers.take();
  await told.ups.take();
  return { ...told, server: started, peer };
}

const message = (to: string, text: string) => xml('message', { to, from: DOMAIN }, xml('body', {}, text));
const ask = (to: string) => xml('iq', { type: 'get', to }, xml('query', 'urn:example:query'));

async function idOf(peer: Peer, to: string): Promise<string> {
  const [iq] = await peer.heard(new RegExp(`<iq [^>]*to="${to}"[^>]*>`));
  return /id="([^"]+)"/.exec(iq)![1]!;
}

/** Whether it is settled now, without waiting for it. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  const settle = () => (done = true);
  void promise.then(settle, settle);
  for (let turns = 0; turns < 20; turns += 1) await turn();
  return done;
}

/** Takes the deadlines into our hands; sockets go on as ever. */
function holdTimers(): void {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance'] });
  cleanup.push(async () => void jest.useRealTimers());
}

/** A server that accepts and never says a word. */
async function startMute() {
  const server = createServer().listen(await freePort(), '127.0.0.1');
  await once(server, 'listening');
  cleanup.push(async () => void server.close());
  return { server, service: `xmpp://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('the twelve defects of the library', () => {
  it('1: a character that arrives in two segments stays whole', async () => {
    const { peer, stanzas } = await bench();
    const text = Buffer.from(`<message id="one"/><message id="two"><body>10 €uro</body></message>`);
    const middle = text.indexOf('€') + 1;
    peer.say(text.subarray(0, middle));
    await stanzas.take(({ attrs }) => attrs.id === 'one');
    peer.say(text.subarray(middle));
    expect((await stanzas.take()).getChildText('body')).toBe('10 €uro');
  });

  it('2: what is sent while the stream is down is refused by a promise, never by a throw', async () => {
    const { connection } = connect({ service: `xmpp://127.0.0.1:${await freePort()}` });
    for (const attempt of [
      () => connection.send(xml('message', { to: 'a@b' })),
      () => connection.write('<message/>'),
      () => connection.confirm(),
      () => connection.request(ask('a@b')),
    ]) {
      const refused = attempt();
      await expect(refused).rejects.toThrow(StreamDown);
    }
    expect(connection.up).toBe(false);
  });

  it('3: what the socket took is not confirmed when the server resets the connection', async () => {
    const { connection, peer, downs } = await bench();
    peer.socket.pause();
    for (let n = 0; n < 100; n += 1) await connection.send(message('romeo@localhost', `entry ${n}`));
    const confirmed = connection.confirm();
    peer.socket.resetAndDestroy();
    await expect(confirmed).rejects.toMatchObject({ name: 'StreamDown', why: { kind: 'socket' } });
    expect(await downs.take()).toMatchObject({ kind: 'socket', text: expect.stringContaining('ECONNRESET') });
  });

  it('4: nothing is kept while the stream is down, to be sent behind the back of whoever sends it again', async () => {
    const { connection, peer, ups, downs, server } = await bench();
    peer.socket.resetAndDestroy();
    await downs.take();
    await expect(connection.send(message('romeo@localhost', 'lost'))).rejects.toThrow(StreamDown);
    await ups.take();
    await connection.confirm();
    const again = await server.peers.take();
    expect(again.said()).toMatch(/^<iq [^>]*><ping xmlns="urn:xmpp:ping"\/><\/iq>$/);
  });

  it('5: a writer waits while the server does not read, and goes on when it does', async () => {
    const { connection, peer } = await bench();
    peer.socket.pause();
    const written = connection.write(' '.repeat(32 << 20));
    const another = connection.write(' ');
    expect([await settled(written), await settled(another)]).toEqual([false, false]);
    peer.socket.resume();
    await Promise.all([written, another]);
    await connection.confirm();
  });

  it('5: a server that does not read on is left for a new stream', async () => {
    const { connection, peer, downs, ups, server } = await bench({ timeouts: { drainMs: 50 } });
    peer.socket.pause();
    await expect(connection.write(' '.repeat(32 << 20))).rejects.toThrow(StreamDown);
    expect(await downs.take()).toEqual({ kind: 'timeout', text: 'the server stopped reading' });
    await ups.take();
    expect(await server.peers.take()).not.toBe(peer);
  });

  it('5: a server that hangs up without having read everything is gone at once', async () => {
    const { connection, peer, downs } = await bench();
    peer.socket.pause();
    const written = connection.write(' '.repeat(32 << 20));
    peer.socket.end();
    await expect(written).rejects.toThrow(StreamDown);
    expect(await downs.take()).toEqual({ kind: 'closed' });
  });

  it('6: characters that XML cannot carry are left out, all others are kept', () => {
    const text = `\0a\u000B\uFFFE\uFFFFb\uD800c\uDC00d\t\n\u0085\uFFFD\uE000😀\u{10FFFF}`;
    const kept = 'abcd\t\n\u0085\uFFFD\uE000😀\u{10FFFF}';
    expect(serialise(xml('a', { b: text }, text))).toBe(`<a b="${kept}">${kept}</a>`);
  });

  it.each(['conflict', 'not-authorized'])(
    '7: after %s the pauses grow, and each refusal is told',
    async (condition) => {
      const server = await startComponentServer({
        welcome:
          `<stream:error><${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>` +
          `<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Because.</text></stream:error></stream:stream>`,
      });
      cleanup.push(server.stop);
      const { failed, downs } = connect({ service: server.service, random: () => 0.5 });
      for (const retryMs of [150, 300, 600, 1200, 2400, 3750, 3750]) {
        expect(await failed.take()).toEqual({ kind: 'stream-error', condition, text: 'Because.', retryMs });
      }
      expect(downs.pending).toEqual([]);
    },
  );

  it('7: those who take one address from each other do so more and more slowly', async () => {
    const pauses = createInbox<number>('pauses');
    let clock = 0;
    const { peer, server, downs } = await bench({
      now: () => (clock += FOREVER),
      random: () => 0.5,
      pause: async (ms) => pauses.push(ms),
    });
    const text = 'Replaced by a new connection';
    for (const [one, retryMs] of [150, 300, 600].entries()) {
      const victim = one === 0 ? peer : await server.peers.take();
      victim.say(
        `<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>` +
          `<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>${text}</text></stream:error></stream:stream>`,
      );
      expect(await downs.take()).toEqual({ kind: 'stream-error', condition: 'conflict', text });
      expect(await pauses.take()).toBe(retryMs);
    }
    // A stream that lasted and ended otherwise shows that the quarrel is over.
    (await server.peers.take()).socket.destroy();
    expect(await pauses.take()).toBe(150);
  });

  it('7: a server that hangs up at once is not hammered', async () => {
    const pauses = createInbox<number>('pauses');
    const { peer, server } = await bench({ now: () => 0, random: () => 0.5, pause: async (ms) => pauses.push(ms) });
    for (const [one, retryMs] of [150, 300, 600, 1200].entries()) {
      (one === 0 ? peer : await server.peers.take()).socket.end();
      expect(await pauses.take()).toBe(retryMs);
    }
  });

  it('7: nobody but us reconnects, and a stream that ended leaves nothing behind', async () => {
    holdTimers();
    const { connection, peer, downs } = await bench({ pause: (_, signal) => aborted(signal) });
    await connection.confirm();
    peer.socket.end();
    await downs.take();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('8: a server that is down at the start is joined when it comes, and each stream is told once', async () => {
    const port = await freePort();
    const { failed, ups, downs, connection } = connect({ service: `xmpp://127.0.0.1:${port}` });
    expect(await failed.take()).toMatchObject({ kind: 'socket', text: expect.stringContaining('ECONNREFUSED') });
    const server = await startComponentServer({ port });
    cleanup.push(server.stop);
    for (let streams = 0; streams < 3; streams += 1) {
      await ups.take();
      expect(connection.up).toBe(true);
      (await server.peers.take()).socket.end();
      expect(await downs.take()).toEqual({ kind: 'closed' });
    }
    expect(downs.pending).toEqual([]);
  });

  it('9: a server that has fallen silent is noticed by itself and left for a new stream', async () => {
    const { downs, ups, server, peer } = await bench({ timeouts: { idleMs: 20, echoMs: 50 } }, { echoes: false });
    await peer.heard(/<ping xmlns="urn:xmpp:ping"\/>/);
    expect(await downs.take()).toEqual({ kind: 'timeout', text: 'no echo' });
    await ups.take();
    expect(await server.peers.take()).not.toBe(peer);
  });

  it('10: nobody waits for an answer longer than the stream lives, and they hear before the listeners', async () => {
    const told: string[] = [];
    const { connection, peer, downs } = await bench({}, { echoes: false });
    connection.onDown(() => told.push('listener'));
    const waiting = [connection.request(ask('juliet@localhost')), connection.confirm()].map((promise) =>
      promise.catch((error: unknown) => told.push((error as Error).name)),
    );
    await idOf(peer, 'juliet@localhost');
    peer.socket.resetAndDestroy();
    await downs.take();
    await Promise.all(waiting);
    expect(told).toEqual(['StreamDown', 'StreamDown', 'listener']);
  });

  it('11: an answer counts only from whom was asked', async () => {
    const { connection, peer, stanzas } = await bench();
    const request = ask('Juliet@localhost');
    const answered = connection.request(request);
    const id = await idOf(peer, 'Juliet@localhost');
    peer.say(`<iq type="result" id="${id}" from="evil@localhost"/>`);
    peer.say(`<iq type="result" id="${id}" from="@@"/>`);
    peer.say(`<iq type="result" id="${id}"/>`);
    peer.say(`<iq type="get" id="${id}" from="juliet@localhost"/>`);
    for (const from of ['evil@localhost', '@@', undefined, 'juliet@localhost']) {
      expect((await stanzas.take()).attrs.from).toBe(from);
    }
    expect(await settled(answered)).toBe(false);
    peer.say(`<iq type="error" id="${id}" from="juliet@localhost"><error type="cancel"/></iq>`);
    expect((await answered).attrs).toMatchObject({ type: 'error', from: 'juliet@localhost' });
    const again = connection.request(request);
    await peer.heard(new RegExp(`id="(?!${id}")[^"]+"`));
    peer.say(`<iq type="result" id="${String(request.attrs.id)}" from="juliet@localhost"/>`);
    expect((await again).attrs.type).toBe('result');
  });

  it.each([
    ['an unknown entity', '<message><body>&nbsp;</body></message>'],
    ['a wrong closing tag', '<message></body></message></message>'],
    ['more after the closing tag', '</stream:stream> <message/>'],
    ['a stream error without a condition', '<stream:error/>'],
    ['a closing tag that is not ours', '<message/></message>'],
  ])('12: %s costs the stream, not the process', async (_, bytes) => {
    const { peer, downs, ups, connection } = await bench();
    peer.say(bytes);
    await downs.take();
    await ups.take();
    await connection.confirm();
  });
});

describe('more that the library gets wrong', () => {
  it('requests are left to us, whoever they come from', async () => {
    const { connection, peer, stanzas, downs } = await bench();
    peer.say('<iq type="get" id="1" from="@@"/><iq type="get" id="2" from="a@b"><query xmlns="urn:example"/></iq>');
    expect([(await stanzas.take()).attrs.id, (await stanzas.take()).attrs.id]).toEqual(['1', '2']);
    await connection.confirm();
    expect(peer.said()).toMatch(/^<iq [^>]*><ping xmlns="urn:xmpp:ping"\/><\/iq>$/);
    expect(downs.pending).toEqual([]);
  });

  it('a stream error is answered with a closing tag', async () => {
    const { peer } = await bench({ timeouts: { closeMs: FOREVER } });
    peer.say(`<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`);
    await peer.heard(/<\/stream:stream>$/);
  });

  it('a stanza in the same segment as the handshake is taken, and can be answered', async () => {
    const server = await startComponentServer({ welcome: `<handshake/><iq type="get" id="early" from="a@b"/>` });
    cleanup.push(server.stop);
    const { connection } = connect({
      service: server.service,
      onStanza: (stanza) => connection.send(xml('iq', { type: 'result', id: stanza.attrs.id as string, to: 'a@b' })),
    });
    await (await server.peers.take()).heard(new RegExp(`<iq type="result" id="early" to="a@b" from="${DOMAIN}"/>`));
  });

  it('a redirect is a stream error like any other and is not followed', async () => {
    const elsewhere = await startComponentServer();
    cleanup.push(elsewhere.stop);
    const { peer, downs, ups } = await bench();
    peer.say(
      `<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:${elsewhere.port}` +
        `</see-other-host></stream:error></stream:stream>`,
    );
    expect(await downs.take()).toEqual({ kind: 'stream-error', condition: 'see-other-host' });
    await ups.take();
    expect(elsewhere.peers.pending).toEqual([]);
  });

  it('a socket that is connected to itself is not a stream', async () => {
    const mirror = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
    mirror.listen(await freePort(), '127.0.0.1');
    await once(mirror, 'listening');
    cleanup.push(async () => void mirror.close());
    const { port } = mirror.address() as { port: number };
    const { failed, ups, connection } = connect({
      service: `xmpp://127.0.0.1:${port}`,
      timeouts: { connectMs: 100 },
    });
    expect(await failed.take()).toMatchObject({ kind: 'timeout', text: 'no handshake' });
    expect(ups.pending).toEqual([]);
    await connection.stop();
  });

  it('a server that accepts and never says a word is given up', async () => {
    const { service } = await startMute();
    const { failed, connection } = connect({ service, timeouts: { connectMs: 50 } });
    for (let attempts = 0; attempts < 2; attempts += 1)
      expect(await failed.take()).toMatchObject({ kind: 'timeout', text: 'no handshake' });
    await connection.stop();
  });
});

describe('the barrier', () => {
  it('resolves with its own echo only, in whatever order they were asked for', async () => {
    const { connection, peer, stanzas } = await bench({}, { echoes: false });
    const [first, second] = [connection.confirm(), connection.confirm()];
    const pings = /(<iq .*?<\/iq>)(<iq .*?<\/iq>)/;
    const [, one = '', two = ''] = await peer.heard(pings);
    peer.say(one);
    await first;
    expect(await settled(second)).toBe(false);
    peer.say(two.replace(/from="[^"]*"/, 'from="evil@localhost"'));
    peer.say(two.replace(/id="[^"]*"/, 'id="guess"'));
    expect((await stanzas.take()).attrs.from).toBe('evil@localhost');
    expect((await stanzas.take()).attrs).toMatchObject({ from: DOMAIN, id: 'guess' });
    expect(await settled(second)).toBe(false);
    peer.say(two);
    await second;
    expect(stanzas.pending).toEqual([]);
  });

  it('is patient as long as echoes come, and no longer', async () => {
    holdTimers();
    const { connection, peer, downs } = await bench({}, { echoes: false });
    const [one, two, three] = [connection.confirm(), connection.confirm(), connection.confirm()];
    const pings = (await peer.heard(/(<iq .*?<\/iq>){3}/))[0].match(/<iq .*?<\/iq>/g);
    for (const [n, confirmed] of [one, two].entries()) {
      jest.advanceTimersByTime(14_000);
      peer.say(pings![n]!);
      await confirmed;
    }
    expect(downs.pending).toEqual([]);
    jest.advanceTimersByTime(15_000);
    await expect(three).rejects.toMatchObject({ why: { kind: 'timeout', text: 'no echo' } });
  });

  it('that is not echoed in time ends the stream', async () => {
    const { connection, downs, ups } = await bench({ timeouts: { echoMs: 30 } }, { echoes: false });
    await expect(connection.confirm()).rejects.toMatchObject({ why: { kind: 'timeout', text: 'no echo' } });
    await downs.take();
    await ups.take();
  });
});

describe('requests', () => {
  it('give up in time, without harm to the stream', async () => {
    const { connection, peer, stanzas } = await bench();
    const answered = connection.request(ask('juliet@localhost'), 20);
    const id = await idOf(peer, 'juliet@localhost');
    await expect(answered).rejects.toThrow(Timeout);
    peer.say(`<iq type="result" id="${id}" from="juliet@localhost"/>`);
    expect((await stanzas.take()).attrs.id).toBe(id);
    await connection.confirm();
  });

  it('need somebody to ask', async () => {
    const { connection } = await bench();
    await expect(connection.request(xml('iq', { type: 'get' }))).rejects.toThrow('addressee');
  });
});

describe('what is called from here', () => {
  it('may throw or reject: that is reported and stops nothing', async () => {
    const bug = new Error('a bug');
    let calls = 0;
    const { connection, peer, errors, downs } = await bench({
      onStanza() {
        calls += 1;
        if (calls === 1) throw bug;
        return Promise.reject(bug);
      },
    });
    connection.onDown(() => {
      throw bug;
    });
    peer.say('<message/><message/>');
    expect([await errors.take(), await errors.take()]).toEqual([bug, bug]);
    await connection.confirm();
    peer.socket.end();
    await downs.take();
    expect(await errors.take()).toBe(bug);
  });
});

describe('stop', () => {
  it('closes the stream, waits for the server to do so, and may be asked for twice', async () => {
    const { connection, peer, downs } = await bench({ timeouts: { closeMs: FOREVER } }, { closes: false });
    const request = connection.request(ask('juliet@localhost'));
    await idOf(peer, 'juliet@localhost');
    const stopped = connection.stop();
    expect(connection.up).toBe(false);
    await expect(connection.write('<message/>')).rejects.toThrow(StreamDown);
    await expect(request).rejects.toThrow(StreamDown);
    await peer.heard(/<\/stream:stream>$/);
    expect(await settled(stopped)).toBe(false);
    peer.say('</stream:stream>');
    await Promise.all([stopped, connection.stop(), peer.gone]);
    expect(downs.pending).toEqual([{ kind: 'closed' }]);
    await connection.stop();
  });

  it('does not wait for ever', async () => {
    const { connection, peer } = await bench({ timeouts: { closeMs: 20 } }, { closes: false });
    await connection.stop();
    await peer.gone;
  });

  it('ends an attempt that is under way, and a pause', async () => {
    holdTimers();
    const { server, service } = await startMute();
    const trying = connect({ service });
    const [socket] = (await once(server, 'connection')) as [Socket];
    await once(socket, 'data');
    await trying.connection.stop();
    expect(trying.failed.pending).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();

    const failed = createInbox<Down>('failed attempts');
    const pausing = createConnection({
      service: `xmpp://127.0.0.1:${await freePort()}`,
      domain: DOMAIN,
      secret: 'secret',
      onStanza: () => undefined,
      onError: () => undefined,
      onAttemptFailed: (why) => failed.push(why),
      timeouts: { retryMinMs: FOREVER, retryMaxMs: FOREVER },
    });
    pausing.start();
    await failed.take();
    await pausing.stop();
  });

  it('can be followed by another start', async () => {
    const { connection, peer, ups, server } = await bench();
    connection.start();
    void connection.stop();
    connection.start();
    await ups.take();
    expect(await server.peers.take()).not.toBe(peer);
    await connection.confirm();
  });
});

describe('with a real Prosody', () => {
  let dir: string;
  let prosody: ProsodyServer;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hydrant-connection-'));
    prosody = await startProsody({ dir, domain: DOMAIN, secret: 'Geheimnis für Ömer €' });
  }, 30_000);
  afterAll(async () => {
    await prosody.stop();
    await rm(dir, { recursive: true });
  });

  async function online(): Promise<ReturnType<typeof connect> & { connection: Connection }> {
    const told = connect({ service: prosody.service, secret: prosody.secret });
    await told.ups.take();
    return told;
  }

  it('the barrier comes after everything that the messages before it brought about', async () => {
    const { connection, stanzas } = await online();
    for (let n = 0; n < 1000; n += 1) await connection.send(message(`nobody${n}@localhost`, 'hello'));
    await connection.confirm();
    expect(stanzas.pending.map(({ attrs }) => attrs.from as string)).toEqual(
      Array.from({ length: 1000 }, (_, n) => `nobody${n}@localhost`),
    );
    await connection.send(message('late@localhost', 'hello'));
    expect((await stanzas.take(({ attrs }) => attrs.from === 'late@localhost')).attrs.type).toBe('error');
  });

  it('6: characters that XML cannot carry do not cost the stream', async () => {
    const { connection, stanzas, downs } = await online();
    const stanza = message(DOMAIN, 'vertical\u000Btab, \uFFFF, half a \uD83D, 😀 and €');
    stanza.attrs.id = 'a\0b';
    await connection.send(stanza);
    const echoed = await stanzas.take();
    expect([echoed.attrs.id, echoed.getChildText('body')]).toEqual(['ab', 'verticaltab, , half a , 😀 and €']);
    expect(downs.pending).toEqual([]);
  });

  it('a stream that Prosody ends for bad XML is told with the reason, and rebuilt', async () => {
    const { connection, downs, ups } = await online();
    await connection.write(`<message from="${DOMAIN}" to="a@localhost"><body>&nbsp;</body></message>`);
    await expect(connection.confirm()).rejects.toMatchObject({ why: { condition: 'not-well-formed' } });
    expect(await downs.take()).toMatchObject({ kind: 'stream-error', condition: 'not-well-formed' });
    await ups.take();
    await connection.confirm();
  });

  it('a wrong secret is told', async () => {
    const { failed } = connect({ service: prosody.service, secret: 'wrong' });
    expect(await failed.take()).toMatchObject({ kind: 'stream-error', condition: 'not-authorized' });
  });

  it('whoever loses the address to another process hears of it', async () => {
    const first = connect({ service: prosody.service, secret: prosody.secret, pause: (_, signal) => aborted(signal) });
    await first.ups.take();
    const second = await online();
    expect(await first.downs.take()).toEqual({
      kind: 'stream-error',
      condition: 'conflict',
      text: 'Replaced by a new connection',
    });
    await second.connection.confirm();
  });

  it('asks and is answered', async () => {
    const { connection } = await online();
    const answer = await connection.request(
      xml('iq', { type: 'get', to: 'localhost' }, xml('query', 'http://jabber.org/protocol/disco#info')),
    );
    expect(answer.getChild('query')?.getChild('identity')?.attrs).toMatchObject({ category: 'server' });
    const refused = await connection.request(ask('nobody@localhost'));
    expect(refused.attrs.type).toBe('error');
  });

  it('survives a Prosody that is killed and comes back', async () => {
    const { connection, ups, downs, failed } = await online();
    const confirmed = expect(
      (async () => {
        for (;;) await connection.confirm();
      })(),
    ).rejects.toThrow(StreamDown);
    await prosody.kill();
    await confirmed;
    await downs.take();
    await failed.take();
    await prosody.start();
    await ups.take();
    await connection.confirm();
  }, 30_000);

  it('leaves so that a successor is let in', async () => {
    const { connection } = await online();
    await connection.stop();
    const successor = await online();
    await successor.connection.confirm();
    expect(successor.failed.pending).toEqual([]);
  });
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
