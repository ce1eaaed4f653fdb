import { beforeAll, describe, expect, it } from '@jest/globals';
import { Fault } from '../../lib/faults.js';
import { durabilityProblems, openRedis, ready, redisAway, type RedisClient } from '../../lib/redis.js';
import { createInbox } from '../../prosody/inbox.js';
import { freePort } from '../../prosody/servers.js';
import { throwawayRedis } from '../support/stores.js';

const UNAVAILABLE = { code: 'unavailable', message: 'The store is away for a moment; try again' };

/** What whoever asks is told when this command fails. */
async function told(command: Promise<unknown>): Promise<unknown> {
  return command.then(
    () => 'it went well',
    (error: unknown) => redisAway(error),
  );
}

describe('while Redis is away', () => {
  const redis = throwawayRedis();
  let prompt: RedisClient;
  let patient: RedisClient;
  beforeAll(async () => void ([prompt, patient] = [await redis.connect(), await redis.connect('patient')]));

  it('a prompt connection that loses it refuses at once, and comes back by itself', async () => {
    await redis.server.kill();
    expect(await told(prompt.get('told'))).toMatchObject(UNAVAILABLE);
    expect(await told(prompt.evalsha('0'.repeat(40), 0))).toBeInstanceOf(Fault);
    await redis.server.start();
    await ready(prompt);
    expect(await prompt.ping()).toBe('PONG');
  });

  it('a command that was on its way when Redis died is refused', async () => {
    redis.server.signal('SIGSTOP');
    const waiting = told(prompt.get('told'));
    await redis.server.kill();
    expect(await waiting).toMatchObject(UNAVAILABLE);
    await redis.server.start();
    await ready(prompt);
  });

  it('a prompt connection gives up on one that hangs, and goes on when it wakes', async () => {
    redis.server.signal('SIGSTOP');
    const hanging = [told(prompt.get('told')), told(prompt.set('told', 'late'))];
    expect(await Promise.all(hanging)).toEqual([expect.objectContaining(UNAVAILABLE), expect.anything()]);
    redis.server.signal('SIGCONT');
    expect(await prompt.set('told', 'again')).toBe('OK');
    expect(await prompt.get('told')).toBe('again');
  });

  it('a patient connection waits for it', async () => {
    await patient.set('told', 'before');
    await redis.server.stop();
    const asked = patient.get('told');
    await redis.server.start();
    expect(await asked).toBe('before');
  });

  it('a full one counts as away', async () => {
    await ready(prompt);
    await prompt.config('SET', 'maxmemory', '1');
    expect(await told(prompt.set('more', 'x'))).toMatchObject(UNAVAILABLE);
    await prompt.config('SET', 'maxmemory', '0');
    expect(await prompt.set('more', 'x')).toBe('OK');
  });

  it.each([1, 3])(
    'one that never was there refuses, reports trouble and can be given up (%i addresses)',
    async (count) => {
      const trouble = createInbox<Error>('trouble');
      const urls = await Promise.all(
        Array.from({ length: count }, async () => `redis://127.0.0.1:${await freePort()}/0`),
      );
      const client = openRedis(urls, 'prompt', (error) => {
        trouble.push(error);
      });
      expect(await told(client.get('told'))).toMatchObject(UNAVAILABLE);
      expect((await trouble.take()).message).toMatch(/ECONNREFUSED|slots cache/);
      client.disconnect();
    },
  );
});

describe('a mistake of ours', () => {
  const redis = throwawayRedis();

  it('is not taken for Redis being away', async () => {
    const client = await redis.connect();
    await client.set('text', 'x');
    expect(await told(client.hget('text', 'field'))).toBeUndefined();
    expect(await told(client.eval('return nonsense(', 0))).toBeUndefined();
    expect(redisAway(new TypeError('x is not a function'))).toBeUndefined();
    expect(redisAway(new Fault('forbidden'))).toBeUndefined();
    expect(redisAway('ECONNREFUSED')).toBeUndefined();
    expect(redisAway(undefined)).toBeUndefined();
  });

  it('keeps its cause when it was no mistake', () => {
    const cause = new Error('Connection is closed.');
    expect(redisAway(cause)).toMatchObject({ ...UNAVAILABLE, cause });
  });
});

describe('how Redis keeps data', () => {
  const redis = throwawayRedis();
  let client: RedisClient;
  beforeAll(async () => void (client = await redis.connect()));

  it('is no problem as Hydrant sets it up', async () => {
    expect(await durabilityProblems(client)).toEqual([]);
  });

  it('is a problem when it loses or evicts, a sentence each', async () => {
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await durabilityProblems(client)).toEqual([
      'Redis has "maxmemory-policy allkeys-lru": it may evict feeds and subscriptions. Set "noeviction".',
    ]);
    await client.config('SET', 'appendonly', 'no');
    expect(await durabilityProblems(client)).toEqual([
      'Redis has "appendonly no": what was acknowledged is lost when it stops. Set "appendonly yes".',
      'Redis has "maxmemory-policy allkeys-lru": it may evict feeds and subscriptions. Set "noeviction".',
    ]);
    await client.config('SET', 'maxmemory-policy', 'noeviction');
    expect(await durabilityProblems(client)).toEqual([
      'Redis has "appendonly no": what was acknowledged is lost when it stops. Set "appendonly yes".',
    ]);
  });
});
