import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { createLeader } from '../../component/leader.js';
import type { LeaseStore } from '../../lib/store/lease.js';
import { memoryStores } from '../support/memory.js';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function bench(leases: LeaseStore, holder: string) {
  const life: string[] = [];
  const leader = createLeader({
    leases,
    domain: 'feeds.example',
    holder,
    onLead: (token) => life.push(`leads ${token}`),
    onLost: async () => void life.push('lost'),
    emit: () => undefined,
  });
  return { leader, life };
}

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

it('one leads, the other stands by and takes over once the first is gone', async () => {
  const { leases } = memoryStores();
  const [a, b] = [bench(leases, 'a'), bench(leases, 'b')];
  a.leader.start();
  await pass(10);
  b.leader.start();
  await pass(30_000);
  expect([a.life, b.life]).toEqual([['leads 1'], []]);
  await a.leader.stop();
  await pass(1_100);
  expect(b.life).toEqual(['leads 2']);
  await b.leader.stop();
});

it('takes over when the holder dies without a word, once its lease has ended', async () => {
  const { leases } = memoryStores();
  await leases.acquire('feeds.example', 'dead', 6_000);
  const { leader, life } = bench(leases, 'heir');
  leader.start();
  await pass(5_000);
  expect(life).toEqual([]);
  await pass(2_100);
  expect(life).toEqual(['leads 2']);
  await leader.stop();
});

it('goes on while Redis is away, and leads with a new token when nobody else has taken the address meanwhile', async () => {
  const { leases } = memoryStores();
  let away = false;
  const lossy: LeaseStore = {
    ...leases,
    renew: (...args) => (away ? Promise.reject(new Error('away')) : leases.renew(...args)),
    acquire: (...args) => (away ? Promise.reject(new Error('away')) : leases.acquire(...args)),
  };
  const { leader, life } = bench(lossy, 'a');
  leader.start();
  await pass(10);
  away = true;
  await pass(20_000);
  expect(life).toEqual(['leads 1']);
  away = false;
  await pass(1_600);
  expect(life).toEqual(['leads 1', 'leads 2']);
  await leader.stop();
});

it('gives way when another has won the lease', async () => {
  const { leases } = memoryStores();
  const { leader, life } = bench(leases, 'a');
  leader.start();
  await pass(10);
  await leases.release('feeds.example', 'a');
  await leases.acquire('feeds.example', 'b', 60_000);
  await pass(1_600);
  expect(life).toEqual(['leads 1', 'lost']);
  await leader.stop();
});

it('lets the address go when the server gave it to somebody else, and does not fight for it', async () => {
  const { leases } = memoryStores();
  const { leader, life } = bench(leases, 'a');
  leader.start();
  await pass(10);
  leader.yield('conflict');
  await pass(9_000);
  expect(life).toEqual(['leads 1', 'lost']);
  expect(await leases.isHeld('feeds.example')).toBe(false);
  await pass(1_100);
  expect(life).toEqual(['leads 1', 'lost', 'leads 2']);
  await leader.stop();
});
