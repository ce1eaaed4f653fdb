import { describe, expect, it } from '@jest/globals';
import { createIntake, type Health, type IntakeDeps } from '../../scheduler/intake.js';
import { memoryStores } from '../support/memory.js';
import { BLOG, openFeed } from '../support/stores.js';

const UP: Health = { component: 'up', redis: 'up', queues: { poll: 3 }, backlog: 2 };

async function bench(overrides: Partial<IntakeDeps> = {}) {
  const stores = memoryStores({ now: () => 0 });
  const feed = await openFeed(stores);
  await stores.aliases.add('https://blog.example/', feed);
  const looks: { feed: string; delayMs: number }[] = [];
  const server = createIntake({
    feeds: stores.feeds,
    aliases: stores.aliases,
    enqueue: async ({ feed: one }, delayMs = 0) => void looks.push({ feed: one, delayMs }),
    pingMinMs: 60_000,
    health: async () => UP,
    metrics: async () => 'hydrant_polls_total 1\n',
    emit: () => undefined,
    ...overrides,
  });
  const ping = (...urls: string[]) =>
    server.inject({
      method: 'POST',
      url: '/ping',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: urls.map((url) => `url=${encodeURIComponent(url)}`).join('&'),
    });
  return { server, ping, looks, feed };
}

describe('a ping', () => {
  it.each([
    ['the feed', BLOG],
    ['its page', 'https://blog.example/'],
    ['its page, spelled otherwise', 'http://www.blog.example'],
  ])('of %s has the feed looked at', async (_, url) => {
    const { ping, looks, feed } = await bench();
    const answer = await ping(url);
    expect([answer.statusCode, answer.body]).toEqual([200, 'Thanks for the ping.\n']);
    expect(looks).toEqual([{ feed, delayMs: 0 }]);
  });

  it('that comes too soon after another is one look, later', async () => {
    const { ping, looks } = await bench();
    for (let n = 0; n < 3; n++) await ping(BLOG);
    expect(looks.map(({ delayMs }) => delayMs)).toEqual([0, 60_000, 60_000]);
  });

  it('of something nobody follows is thanked for, and that is all', async () => {
    const { ping, looks } = await bench();
    expect((await ping('https://nobody.example/')).statusCode).toBe(200);
    expect(looks).toEqual([]);
  });

  it('that names nothing is refused, with a text that says what is missing', async () => {
    const { ping, server } = await bench();
    expect((await ping()).statusCode).toBe(400);
    expect((await server.inject({ method: 'POST', url: '/ping' })).body).toContain('url=');
    expect((await ping('ftp://blog.example/')).statusCode).toBe(400);
  });

  it('of many kilobytes is refused', async () => {
    const { ping } = await bench();
    expect((await ping(`https://blog.example/${'x'.repeat(10_000)}`)).statusCode).toBe(413);
  });

  it('is not lost silently when the store is away', async () => {
    const enqueue = () => Promise.reject(new Error('Connection is closed.'));
    const { ping } = await bench({ enqueue });
    expect((await ping(BLOG)).statusCode).toBe(503);
  });
});

describe('/health', () => {
  it.each([
    [200, UP],
    [503, { ...UP, component: 'down' } satisfies Health],
    [503, { component: 'down', redis: 'down', queues: 'down', backlog: 0 } satisfies Health],
  ])('is %s for %j', async (status, health) => {
    const { server } = await bench({ health: async () => health });
    const answer = await server.inject('/health');
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toEqual({ ok: status === 200, ...health });
  });
});

it('/metrics is in the text format of Prometheus', async () => {
  const answer = await (await bench()).server.inject('/metrics');
  expect(answer.headers['content-type']).toContain('text/plain; version=0.0.4');
  expect(answer.body).toBe('hydrant_polls_total 1\n');
});
