import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createHosts, type Hosts, type HostsOptions, type Wish } from '../../scheduler/hosts.js';

const HOST = 'feed.example';
const URL_A = 'https://feed.example/a';
const URL_B = 'https://feed.example/b';
const LIMITED = { status: 429, retryAfter: 120 };
const BUSY = { status: 503, retryAfter: 120 };

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());
const after = (seconds: number) => jest.advanceTimersByTimeAsync(seconds * 1_000);

const bench = (options: Partial<HostsOptions> = {}): Hosts =>
  createHosts({ concurrency: 100, perHost: 2, random: () => 0.5, ...options });

/** Visits a host and stays until it is told to leave. */
function visit(hosts: Hosts, host = HOST, wish: Wish = {}) {
  const seen: { began?: number; postponed?: number } = {};
  let leave = () => undefined as void;
  const left = new Promise<void>((resolve) => (leave = resolve));
  const work = async () => {
    seen.began = performance.now();
    await left;
    return { kind: 'done' } as const;
  };
  const ended = hosts.inTurn(host, wish, work).then((result) => {
    if (result.kind === 'postponed') seen.postponed = result.seconds;
    return result;
  });
  return { seen, leave, ended };
}

/** What one more visit comes to. */
async function ask(hosts: Hosts, wish: Wish = {}, host = HOST) {
  const visited = visit(hosts, host, wish);
  visited.leave();
  await after(0);
  return visited.seen.postponed ?? 'done';
}

describe('a turn with a host', () => {
  it('is given to few at once, in the order in which they came', async () => {
    const hosts = bench();
    const visits = [1, 2, 3, 4].map(() => visit(hosts));
    const inside = () => visits.map(({ seen }) => seen.began !== undefined);
    await after(0);
    expect(inside()).toEqual([true, true, false, false]);
    visits[1]!.leave();
    await after(0);
    expect(inside()).toEqual([true, true, true, false]);
  });

  it('is given to few at once in all hosts together', async () => {
    const hosts = bench({ concurrency: 2 });
    const visits = ['a.example', 'b.example', 'c.example'].map((host) => visit(hosts, host));
    await after(0);
    expect(visits.map(({ seen }) => seen.began !== undefined)).toEqual([true, true, false]);
    visits[0]!.leave();
    await after(0);
    expect(visits[2]!.seen.began).toBeDefined();
  });

  it('is over when the work fails', async () => {
    const hosts = bench({ concurrency: 1, perHost: 1 });
    const failing = hosts.inTurn(HOST, {}, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await ask(hosts)).toBe('done');
  });

  it('is no longer waited for when the process ends', async () => {
    const hosts = bench({ perHost: 1 });
    const stop = new AbortController();
    const first = visit(hosts);
    const second = visit(hosts, HOST, { signal: stop.signal });
    stop.abort(new Error('the process ends'));
    await expect(second.ended).rejects.toThrow('the process ends');
    first.leave();
    expect(await ask(hosts)).toBe('done');
    expect(second.seen.began).toBeUndefined();
  });
});

describe('the line for a host', () => {
  it('has an end: who comes later is sent away for a while', async () => {
    const hosts = bench();
    const visits = Array.from({ length: 12 }, () => visit(hosts));
    await after(0);
    expect(visits.map(({ seen }) => seen.postponed)).toEqual([...Array<undefined>(10).fill(undefined), 20, 20]);
  });

  it('is spread by chance', async () => {
    const postponed = async (random: number) => {
      const hosts = bench({ random: () => random });
      const crowd = Array.from({ length: 11 }, () => visit(hosts));
      await after(0);
      return crowd.at(-1)?.seen.postponed;
    };
    expect([await postponed(0), await postponed(0.999)]).toEqual([10, 30]);
  });

  it('takes everybody for whom somebody waits', async () => {
    const hosts = bench();
    const visits = Array.from({ length: 30 }, () => visit(hosts, HOST, { awaited: true }));
    visits.forEach(({ leave }) => leave());
    await after(0);
    expect(visits.every(({ seen }) => seen.began !== undefined)).toBe(true);
  });

  it('of a slow host holds up nobody else', async () => {
    const hosts = bench({ concurrency: 50 });
    const slow = Array.from({ length: 500 }, () => visit(hosts, 'slow.example'));
    const good = Array.from({ length: 500 }, (_, at) => visit(hosts, `good-${at}.example`));
    good.forEach(({ leave }) => leave());
    await after(0);
    expect(good.filter(({ seen }) => seen.began !== undefined)).toHaveLength(500);
    // Two are with it and eight wait: that is all it can keep busy.
    expect(slow.filter(({ seen }) => seen.postponed === undefined)).toHaveLength(10);
  });
});

describe('the gap between two starts', () => {
  it('is kept, whether or not the first one is still there', async () => {
    const hosts = bench({ gapMs: 500 });
    const visits = [visit(hosts), visit(hosts)];
    await after(0.4);
    expect(visits[1]!.seen.began).toBeUndefined();
    await after(0.1);
    expect(visits[1]!.seen.began! - visits[0]!.seen.began!).toBeCloseTo(500);
  });

  it('shrinks as the line grows, so that all of a large host can be read', async () => {
    const hosts = bench({ gapMs: 500, perHost: 2 });
    const began: number[] = [];
    const keepLineFull = async (): Promise<void> => {
      const visited = visit(hosts);
      visited.leave();
      await visited.ended;
      if (visited.seen.began !== undefined) began.push(visited.seen.began);
      return keepLineFull();
    };
    for (let comer = 0; comer < 8; comer++) void keepLineFull();
    await after(60);
    // Eight in the line: sixteen times in a second, where a gap of half a second would allow two.
    expect(began.length).toBeGreaterThan(900);
    expect(began.length).toBeLessThan(1_000);
  });

  it('is kept for each host by itself', async () => {
    const hosts = bench({ gapMs: 500 });
    const visits = [visit(hosts, 'a.example'), visit(hosts, 'b.example')];
    await after(0);
    expect(visits.every(({ seen }) => seen.began !== undefined)).toBe(true);
  });
});

describe('a host that says 429', () => {
  it('rests as long as it wants, even from those for whom somebody waits', async () => {
    const hosts = bench();
    hosts.hear(HOST, URL_A, LIMITED);
    // The rest, and half of a quarter of it by chance.
    expect(await ask(hosts)).toBe(135);
    expect(await ask(hosts, { awaited: true })).toBe(135);
    expect(await ask(hosts, {}, 'other.example')).toBe('done');
    await after(119);
    expect(await ask(hosts)).toBe(16);
    await after(2);
    expect(await ask(hosts)).toBe('done');
  });

  it.each([
    ['for at most as long as feeds are left alone anyway', 1_000_000, 900],
    ['for a minute when it says that it wants none', 0, 60],
    ['for a minute when it does not say how long', undefined, 60],
  ])('rests %s', async (_, retryAfter, seconds) => {
    const hosts = bench({ longestRestSeconds: 900, random: () => 0 });
    hosts.hear(HOST, URL_A, { status: 429, retryAfter });
    expect(await ask(hosts)).toBe(seconds);
  });

  it('rests twice as long each time that was too short, until it has answered well', async () => {
    const hosts = bench({ random: () => 0 });
    const rests = [];
    for (let time = 0; time < 3; time++) {
      hosts.hear(HOST, URL_A, { status: 429 });
      // Another answer that was on its way says nothing more.
      hosts.hear(HOST, URL_B, { status: 429 });
      const seconds = await ask(hosts);
      rests.push(seconds);
      await after(Number(seconds));
    }
    expect(rests).toEqual([60, 120, 240]);
    hosts.hear(HOST, URL_A, { status: 304 });
    hosts.hear(HOST, URL_A, { status: 429 });
    expect(await ask(hosts)).toBe(60);
  });

  it('has not answered well when an answer of before the rest comes in', async () => {
    const hosts = bench({ random: () => 0 });
    hosts.hear(HOST, URL_A, { status: 429 });
    hosts.hear(HOST, URL_B, { status: 200 });
    expect(await ask(hosts)).toBe(60);
    await after(60);
    hosts.hear(HOST, URL_A, { status: 429 });
    expect(await ask(hosts)).toBe(120);
  });
});

describe('a host that says 503', () => {
  it('rests when two of its URLs do, as one may be a broken site among many', async () => {
    const hosts = bench();
    hosts.hear(HOST, URL_A, BUSY);
    hosts.hear(HOST, URL_A, BUSY);
    expect(await ask(hosts)).toBe('done');
    hosts.hear(HOST, URL_B, BUSY);
    expect(await ask(hosts)).toBe(135);
  });

  it.each([
    ['they say so at different times', BUSY, 601],
    ['one does not say for how long', { status: 503 }, 0],
    ['one says something else', { status: 500, retryAfter: 120 }, 0],
  ])('does not rest when %s', async (_, second, seconds) => {
    const hosts = bench();
    hosts.hear(HOST, URL_A, BUSY);
    await after(seconds);
    hosts.hear(HOST, URL_B, second);
    expect(await ask(hosts)).toBe('done');
  });

  it('does not rest when it answers well in between', async () => {
    const hosts = bench();
    hosts.hear(HOST, URL_A, BUSY);
    hosts.hear(HOST, URL_B, { status: 200 });
    hosts.hear(HOST, URL_B, BUSY);
    expect(await ask(hosts)).toBe('done');
  });
});

describe('hosts', () => {
  it('are forgotten when there is nothing to remember', async () => {
    const hosts = bench({ gapMs: 500 });
    for (let at = 0; at < 1_000; at++) {
      await hosts.inTurn(`host-${at}.example`, {}, async () => ({ kind: 'done' }));
      await after(0.1);
    }
    expect(hosts.size).toBeLessThan(20);
  });

  it('are remembered while they rest, are visited or have a gap to keep', async () => {
    const hosts = bench({ gapMs: 500, perHost: 1 });
    const staying = visit(hosts, 'visited.example');
    hosts.hear(HOST, URL_A, { status: 429, retryAfter: 900 });
    for (let at = 0; at < 100; at++) {
      await hosts.inTurn(`host-${at}.example`, {}, async () => ({ kind: 'done' }));
    }
    expect(hosts.size).toBe(102);
    await after(1);
    for (let at = 100; at < 300; at++) {
      await hosts.inTurn(`host-${at}.example`, {}, async () => ({ kind: 'done' }));
    }
    expect(await ask(hosts)).toBeGreaterThan(899);
    const waiting = visit(hosts, 'visited.example');
    await after(1);
    expect(waiting.seen.began).toBeUndefined();
    staying.leave();
    await after(1);
    expect(waiting.seen.began).toBeDefined();
  });
});
