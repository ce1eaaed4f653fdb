import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import ipaddr from 'ipaddr.js';
import { createGuardedAgents, createResolve, NoAnswer, UnknownHost, type GuardOptions } from '../../scheduler/guard.js';

/** A server that nobody may reach: whatever gets through counts. */
let hits = 0;
const canary = createServer((_, response) => {
  hits++;
  response.end('reached');
});
beforeAll(async () => {
  canary.listen(0, '::');
  await once(canary, 'listening');
});
afterAll(() => void canary.close());
const port = () => (canary.address() as AddressInfo).port;

/** The text of the answer, or the code of the error. */
function visit(target: string | RequestOptions, options: GuardOptions = {}): Promise<string> {
  const agents = createGuardedAgents(options);
  const secure = typeof target === 'string' && target.startsWith('https:');
  const agent = secure ? agents.https : agents.http;
  return new Promise((resolve) => {
    const answered = (response: NodeJS.ReadableStream) => void response.once('data', (data) => resolve(String(data)));
    const request =
      typeof target === 'string'
        ? (secure ? httpsRequest : httpRequest)(target, { agent }, answered)
        : httpRequest({ ...target, agent }, answered);
    request.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.name));
    request.end();
  });
}

const resolveTo = (...addresses: string[]): GuardOptions => ({ resolve: async () => addresses });

describe('private addresses', () => {
  it.each([
    ...['127.0.0.1', '127.1', '2130706433', '0x7f.0.0.1', '0177.0.0.1', '0', '0.0.0.0', '127.255.255.254'],
    ...['10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '100.100.100.200', '192.0.0.8'],
    ...['192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
    ...['168.63.129.16', '１２７.0.0.1', '①②⑦.0.0.1', '[::]', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
    ...['[::7f00:1]', '[::ffff:0:7f00:1]', '[64:ff9b::7f00:1]', '[64:ff9b:1::7f00:1]', '[2002:7f00:1::]', '[2001::1]'],
    ...[
      '[fe80::1]',
      '[fec0::1]',
      '[fc00::1]',
      '[fd00:ec2::254]',
      '[ff02::1]',
      '[2001:db8::1]',
      '[100::1]',
      '[4000::1]',
    ],
  ])('%s is refused', async (host) => {
    expect(await visit(`http://${host}/`)).toBe('EBLOCKED');
    expect(await visit(`https://${host}/`)).toBe('EBLOCKED');
  });

  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '::7f00:1', 'fe80::1%lo', '10.0.0.1', '169.254.169.254', 'rubbish'])(
    'a name that leads to %s is refused',
    async (address) => {
      expect(await visit('http://name.example/', resolveTo(address))).toBe('EBLOCKED');
      expect(await visit('https://name.example/', resolveTo(address))).toBe('EBLOCKED');
    },
  );

  it('sockets in the file system are refused', async () => {
    expect(await visit({ socketPath: '/run/secret.sock' })).toBe('EBLOCKED');
  });

  it('nothing of this reached the server', () => expect(hits).toBe(0));
});

describe('public addresses', () => {
  it.each([22, 25, 81, 1023, 1024, 3000, 5432, 6379, 9200, 65535])('port %i is closed', async (closed) => {
    expect(await visit(`http://1.1.1.1:${closed}/`)).toBe('EBLOCKED');
    expect(await visit(`http://name.example:${closed}/`, resolveTo('1.1.1.1'))).toBe('EBLOCKED');
  });
});

describe('addresses that were let in', () => {
  const allow = ['127.0.0.0/8'];

  it('are reached on any port, by address and by name', async () => {
    hits = 0;
    expect(await visit(`http://127.0.0.1:${port()}/`, { allow })).toBe('reached');
    expect(await visit(`http://localhost:${port()}/`, { allow })).toBe('reached');
    expect(await visit(`http://name.example:${port()}/`, { allow, ...resolveTo('127.0.0.1') })).toBe('reached');
    expect(hits).toBe(3);
  });

  it('are used where a name has others too', async () => {
    expect(await visit(`http://name.example:${port()}/`, { allow, ...resolveTo('::1', '10.0.0.1', '127.0.0.1') })).toBe(
      'reached',
    );
  });

  it('are looked up once, so that nothing changes between the check and the connection', async () => {
    const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.1'];
    const options = { allow: ['127.0.0.1/32'], resolve: async () => [answers.shift() ?? ''] };
    const visits = [];
    for (let visited = 0; visited < 3; visited++) visits.push(await visit(`http://name.example:${port()}/`, options));
    expect(visits).toEqual(['reached', 'EBLOCKED', 'reached']);
  });

  it('let nothing else in', async () => {
    expect(await visit(`http://10.0.0.1/`, { allow })).toBe('EBLOCKED');
    expect(await visit(`http://[::1]:${port()}/`, { allow })).toBe('EBLOCKED');
  });
});

it('a name without addresses is unknown', async () => {
  const resolve = () => Promise.reject(new Error('no such name'));
  expect(await visit('http://name.example/', { resolve })).toBe('ENOTFOUND');
});

describe('the DNS', () => {
  /** A name server that knows these addresses, and counts what it is asked. */
  async function nameServer(known: Readonly<Record<string, readonly string[]>>, ttl: number) {
    const asked: string[] = [];
    let isFailing = false;
    const socket = createSocket('udp4');
    socket.on('message', (query, { port: back, address }) => {
      const { name, type, end } = readQuestion(query);
      asked.push(`${name} ${type === A ? 'A' : 'AAAA'}`);
      const answers = (isFailing ? [] : (known[name] ?? [])).filter((ip) => isIP(ip) === (type === A ? 4 : 6));
      const header = Buffer.from([
        ...query.subarray(0, 2),
        0x81,
        isFailing ? SERVFAIL : known[name] ? NOERROR : NXDOMAIN,
        0,
        1,
        0,
        answers.length,
        0,
        0,
        0,
        0,
      ]);
      const records = answers.map((ip) => {
        const bytes = ipaddr.parse(ip).toByteArray();
        return Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, ttl, 0, bytes.length, ...bytes]);
      });
      socket.send(Buffer.concat([header, query.subarray(12, end), ...records]), back, address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    sockets.push(socket);
    return { asked, servers: [`127.0.0.1:${socket.address().port}`], fail: () => void (isFailing = true) };
  }

  const A = 1;
  const [NOERROR, SERVFAIL, NXDOMAIN] = [0x80, 0x82, 0x83];
  const sockets: Socket[] = [];
  afterAll(() => sockets.forEach((socket) => socket.close()));

  function readQuestion(query: Buffer) {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
  }

  it('is asked for both kinds of addresses, and once as long as they hold', async () => {
    const { asked, servers } = await nameServer(
      { 'both.example': ['2606:4700::1', '1.1.1.1'], 'four.example': ['1.1.1.2'] },
      60,
    );
    const resolve = createResolve({ local: false, servers });
    expect(await resolve('both.example')).toEqual(['1.1.1.1', '2606:4700::1']);
    expect(await resolve('both.example')).toEqual(['1.1.1.1', '2606:4700::1']);
    expect(await resolve('four.example')).toEqual(['1.1.1.2']);
    expect(asked.sort()).toEqual(['both.example A', 'both.example AAAA', 'four.example A', 'four.example AAAA']);
  });

  it('is asked again when they do not hold', async () => {
    const { asked, servers } = await nameServer({ 'short.example': ['1.1.1.1'] }, 20);
    let time = 1;
    const resolve = createResolve({ local: false, servers, now: () => time });
    await resolve('short.example');
    time += 19_000;
    await resolve('short.example');
    expect(asked).toHaveLength(2);
    time += 2_000;
    await resolve('short.example');
    expect(asked).toHaveLength(4);
  });

  it('is asked once for those who ask at once', async () => {
    const { asked, servers } = await nameServer({ 'busy.example': ['1.1.1.1'] }, 60);
    const resolve = createResolve({ local: false, servers });
    const answers = await Promise.all(Array.from({ length: 20 }, () => resolve('busy.example')));
    expect(answers).toEqual(Array(20).fill(['1.1.1.1']));
    expect(asked).toHaveLength(2);
  });

  it('is believed for a while that there is nothing', async () => {
    const known: Record<string, string[]> = {};
    const { asked, servers } = await nameServer(known, 60);
    let time = 1;
    const resolve = createResolve({ local: false, servers, now: () => time });
    await expect(resolve('new.example')).rejects.toThrow(UnknownHost);
    await expect(resolve('new.example')).rejects.toThrow(UnknownHost);
    expect(asked).toHaveLength(2);
    known['new.example'] = ['1.1.1.1'];
    time += 61_000;
    expect(await resolve('new.example')).toEqual(['1.1.1.1']);
  });

  it('is told from a DNS that does not answer, for which its last answer stands in for a day', async () => {
    const known = { 'old.example': ['1.1.1.1'] };
    const server = await nameServer(known, 60);
    let time = 1;
    const resolve = createResolve({ local: false, servers: server.servers, now: () => time });
    await resolve('old.example');
    server.fail();
    await expect(resolve('other.example')).rejects.toThrow(NoAnswer);
    time += 3_600_000;
    expect(await resolve('old.example')).toEqual(['1.1.1.1']);
    const asked = server.asked.length;
    time += 29_000;
    expect(await resolve('old.example')).toEqual(['1.1.1.1']);
    expect(server.asked).toHaveLength(asked);
    time += 86_400_000;
    await expect(resolve('old.example')).rejects.toThrow(NoAnswer);
  });

  it('may know nothing: then the system is asked where that is wanted', async () => {
    const { servers } = await nameServer({}, 60);
    await expect(createResolve({ local: false, servers })('localhost')).rejects.toThrow('no address');
    expect(await createResolve({ local: true, servers })('localhost')).toContain('127.0.0.1');
  });
});
