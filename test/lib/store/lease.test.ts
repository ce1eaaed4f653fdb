import { expect, it } from '@jest/globals';
import { contract } from '../../support/stores.js';

const LONG_MS = 3_600_000;

contract((open) => {
  it('belongs to one holder at a time', async () => {
    const { leases } = await open();
    expect(await leases.acquire('feeds', 'a', LONG_MS)).toEqual(expect.any(Number));
    expect(await leases.acquire('feeds', 'b', LONG_MS)).toBeUndefined();
    expect(await leases.acquire('feeds', 'a', LONG_MS)).toBeUndefined();
    expect(await leases.isHeld('feeds')).toBe(true);
  });

  it('goes to one of many who ask at once', async () => {
    const { leases } = await open();
    const tokens = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((holder) => leases.acquire('feeds', holder, LONG_MS)),
    );
    expect(tokens.filter((token) => token !== undefined)).toHaveLength(1);
  });

  it('gives each new holder a higher token', async () => {
    const { leases } = await open();
    const tokens: number[] = [];
    for (const holder of ['a', 'b', 'a']) {
      tokens.push((await leases.acquire('feeds', holder, LONG_MS))!);
      await leases.release('feeds', holder);
    }
    expect(tokens[0]).toBeGreaterThan(0);
    expect(tokens[1]).toBeGreaterThan(tokens[0]!);
    expect(tokens[2]).toBeGreaterThan(tokens[1]!);
  });

  it('runs out by itself, and is lost to who held it', async () => {
    const { leases } = await open();
    const token = (await leases.acquire('feeds', 'a', LONG_MS))!;
    expect(await leases.renew('feeds', 'a', 0)).toBe(true); // no time left
    expect(await leases.isHeld('feeds')).toBe(false);
    expect(await leases.renew('feeds', 'a', LONG_MS)).toBe(false);
    expect(await leases.acquire('feeds', 'b', LONG_MS)).toBeGreaterThan(token);
    expect(await leases.renew('feeds', 'a', LONG_MS)).toBe(false);
    expect(await leases.renew('feeds', 'b', LONG_MS)).toBe(true);
  });

  it('is prolonged by renewing', async () => {
    const { leases } = await open();
    await leases.acquire('feeds', 'a', 60_000);
    expect(await leases.renew('feeds', 'a', LONG_MS)).toBe(true);
    expect(await leases.isHeld('feeds')).toBe(true);
  });

  it('is released only by who holds it', async () => {
    const { leases } = await open();
    await leases.acquire('feeds', 'a', LONG_MS);
    await leases.release('feeds', 'b');
    expect(await leases.isHeld('feeds')).toBe(true);
    await leases.release('feeds', 'a');
    expect(await leases.isHeld('feeds')).toBe(false);
  });

  it('of one address is not that of another', async () => {
    const { leases } = await open();
    await leases.acquire('feeds', 'a', LONG_MS);
    expect(await leases.isHeld('news')).toBe(false);
    expect(await leases.acquire('news', 'b', LONG_MS)).toEqual(expect.any(Number));
  });
});
