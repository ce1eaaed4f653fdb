import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xml } from '@xmpp/client';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startReader } from '../../prosody/reader.js';
import { freePort, NotStarted, startProsody, startRedis } from '../../prosody/servers.js';
import { startTester } from '../support/tester.js';

const PING = xml('ping', 'urn:xmpp:ping');

let dir: string;
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'hydrant-servers-'))));
afterAll(() => rm(dir, { recursive: true }));

it('a Redis that was killed knows on its old port what it was told', async () => {
  const server = await startRedis({ dir: join(dir, 'redis') });
  const redis = new Redis(server.url);
  redis.on('error', () => undefined);
  await redis.set('told', 'yes');
  expect(await server.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  await server.start();
  expect(await redis.get('told')).toBe('yes');
  expect(await redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  redis.disconnect();
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

it('says in its own words why a server did not start', async () => {
  const first = await startRedis({ dir: join(dir, 'first') });
  const second = startRedis({ dir: join(dir, 'second'), port: first.port });
  await expect(second).rejects.toThrow(NotStarted);
  await expect(second).rejects.toThrow(/Address already in use/);
  const prosody = startProsody({ dir: join(dir, 'third'), componentPort: first.port, c2sPort: await freePort() });
  await expect(prosody).rejects.toThrow(`Prosody cannot open server port ${first.port}`);
  await first.stop();
});

it('a Jabber client logs in, and finds its way back after Prosody was killed', async () => {
  const prosody = await startProsody({ dir: join(dir, 'prosody'), tester: true });
  await prosody.register('juliet', 'o romeo');
  const tester = await startTester(prosody.service, prosody.testerSecret!, 'localhost');
  const account = { server: prosody.c2s, name: 'juliet', service: tester.domain };
  await expect(startReader({ ...account, password: 'wrong' })).rejects.toThrow('not-authorized');
  const juliet = await startReader({ ...account, password: 'o romeo' });
  const romeo = tester.as('romeo');
  expect((await romeo.request('get', PING)).attrs['type']).toBe('result');

  const say = (text: string) =>
    tester.send(xml('message', { from: romeo.jid, to: juliet.jid, type: 'chat' }, xml('body', {}, text)));
  await say('but soft — €');
  expect((await juliet.messages.take()).getChildText('body')).toBe('but soft — €');

  await prosody.kill();
  await prosody.start();
  await juliet.logins.take(undefined, 10);
  await romeo.request('get', PING);
  await say('what light');
  expect((await juliet.messages.take()).getChildText('body')).toBe('what light');

  await Promise.all([juliet.stop(), tester.stop()]);
  expect(await prosody.stop()).toEqual({ code: 0, signal: null });
  expect(await readdir(join(dir, 'prosody'))).toEqual(['localhost']);
});

it('takes its servers along when it is killed itself', async () => {
  const program = `
    import { startProsody, startRedis } from './dist/prosody/servers.js';
    const dir = process.argv[1];
    const [redis, prosody] = await Promise.all([
      startRedis({ dir: dir + '/redis' }),
      startProsody({ dir: dir + '/prosody' }),
    ]);
    console.log(redis.port + ' ' + prosody.c2sPort);`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', program, join(dir, 'orphans')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
  const connections = await Promise.all(
    line.split(' ').map(async (port) => {
      const socket = connect(Number(port), '127.0.0.1').resume();
      await once(socket, 'connect');
      return socket;
    }),
  );
  const closed = connections.map(
    (socket) => new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve)),
  );
  parent.kill('SIGKILL');
  await Promise.all(closed);
});
