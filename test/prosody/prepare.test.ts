import { expect, it } from '@jest/globals';
import { locksDiffer, plan, type Facts } from '../../prosody/prepare.js';

const READY: Facts = {
  node: '20.20.2',
  platform: 'linux',
  apt: true,
  privilege: 'none',
  missing: [],
  packagesDiffer: false,
  buildIsOld: false,
};
const SERVERS = ['prosody', 'redis-server'];
const stepsOf = (facts: Partial<Facts>) => plan({ ...READY, ...facts }).steps.map(({ id }) => id);
const problemOf = (facts: Partial<Facts>) => plan({ ...READY, ...facts }).problem;

it('does nothing when everything is there', () => {
  expect(plan(READY)).toEqual({ steps: [] });
});

it('installs everything on a bare machine, servers first', () => {
  expect(stepsOf({ missing: SERVERS, privilege: 'root', packagesDiffer: true })).toEqual(['apt', 'npm', 'build']);
  expect(stepsOf({ missing: SERVERS, privilege: 'password' })).toEqual(['apt']);
});

it('builds again after new packages', () => {
  expect(stepsOf({ packagesDiffer: true })).toEqual(['npm', 'build']);
  expect(stepsOf({ buildIsOld: true })).toEqual(['build']);
});

it('says exactly what to install where it may not', () => {
  expect(problemOf({ missing: SERVERS })).toContain('apt-get install --no-install-recommends prosody redis-server');
  expect(problemOf({ missing: ['prosody'], apt: false })).toContain('prosody missing');
  expect(problemOf({ missing: SERVERS, platform: 'darwin' })).toContain('brew install prosody/prosody/prosody redis');
});

it.each(['18.20.4', '20.19.9'])('refuses Node %s in words', (node) => {
  expect(problemOf({ node, packagesDiffer: true })).toMatch(/needs Node 20\.20 or newer/);
  expect(stepsOf({ node, packagesDiffer: true })).toEqual([]);
});

it.each(['20.20.0', '24.1.0'])('takes Node %s', (node) => {
  expect(problemOf({ node })).toBeUndefined();
});

it('compares what is installed with what is locked', () => {
  const a = { version: '1.0.0', integrity: 'sha512-a' };
  const wanted = { packages: { '': {}, a, 'for-another-platform': { ...a, optional: true } } };
  expect(locksDiffer(wanted, undefined)).toBe(true);
  expect(locksDiffer(wanted, { packages: { a } })).toBe(false);
  expect(locksDiffer(wanted, { packages: {} })).toBe(true);
  expect(locksDiffer(wanted, { packages: { a: { ...a, version: '1.0.1' } } })).toBe(true);
  expect(locksDiffer(wanted, { packages: { a, left: a } })).toBe(true);
});
