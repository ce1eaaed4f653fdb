import { describe, expect, it } from '@jest/globals';
import { parseFeedUrl } from '../../lib/domain.js';
import type { Fetched } from '../../scheduler/fetch.js';
import { createRobots } from '../../scheduler/robots.js';

const SITE = 'https://site.example';
const HOUR_MS = 3_600_000;

const file = (text: string): Fetched => ({
  ...{ kind: 'fetched', bytes: new Uint8Array(Buffer.from(text)), contentType: 'text/plain', link: '', validators: {} },
  url: parseFeedUrl(`${SITE}/robots.txt`),
});
const status = (code: number): Fetched => ({ kind: 'failed', reason: 'http-status', status: code, text: 'no' });

/** Origins that answer like this when they are asked for their robots.txt. */
function bench(answer: Fetched) {
  let time = 1;
  const asked: string[] = [];
  const mayLookAt = createRobots({
    fetch: async ({ url }) => {
      asked.push(url);
      return answer;
    },
    now: () => time,
  });
  return {
    asked,
    mayLookAt: (path: string, origin = SITE) => mayLookAt(parseFeedUrl(`${origin}${path}`)),
    after(ms: number) {
      time += ms;
    },
  };
}

const OURS = 'User-agent: *\nDisallow: /\n\nUser-agent: Hydrant\nDisallow: /private\nAllow: /private/feed';

describe('robots.txt', () => {
  it.each([
    ['forbids what our group forbids', OURS, '/private/x', false],
    ['allows what our group allows again', OURS, '/private/feed', true],
    ['allows what our group does not name', OURS, '/feed', true],
    ['says nothing to us in the group for all', 'User-agent: *\nDisallow: /', '/feed', true],
    ['says nothing to us in the groups of others', 'User-agent: Hydrantbot\nDisallow: /', '/feed', true],
    [
      'may name us among others',
      'User-agent: a\nUSER-AGENT : hydrant # us\nUser-agent: b\nDisallow: /',
      '/feed',
      false,
    ],
    ['may name us with a version', 'user-agent: hydrant/1.0\ndisallow: /', '/feed', false],
    ['may have several groups for us', `${OURS}\nUser-agent: Hydrant\nDisallow: /feed`, '/feed', false],
    [
      'ends our group where the next one begins',
      'User-agent: hydrant\nDisallow: /a\nUser-agent: b\nDisallow: /',
      '/f',
      true,
    ],
    ['may use wildcards', 'User-agent: hydrant\nDisallow: /*.xml$', '/a.xml', false],
    ['may use wildcards that do not match', 'User-agent: hydrant\nDisallow: /*.xml$', '/a.xml?b', true],
    ['may forbid nothing', 'User-agent: hydrant\nDisallow:', '/feed', true],
    ['may have lines of any kind', '\ufeffUser-agent: hydrant\rDisallow: /', '/feed', false],
    ['may be a web page', '<html><title>t</title>', '/feed', true],
  ])('%s', async (_, text, path, expected) => {
    expect(await bench(file(text)).mayLookAt(path)).toBe(expected);
  });

  it.each([
    ['is missing', status(404)],
    ['is forbidden', status(403)],
    ['is broken', status(500)],
    ['is too large', { kind: 'failed', reason: 'too-large', text: 'no' }],
    ['cannot be reached', { kind: 'failed', reason: 'connect', text: 'no' }],
    ['is on a host that wants to be left alone', { kind: 'postponed', seconds: 60 }],
  ] satisfies [string, Fetched][])('forbids nothing where it %s', async (_, answer) => {
    expect(await bench(answer).mayLookAt('/feed')).toBe(true);
  });

  it('is asked for once a day and origin, however many ask at once', async () => {
    const { asked, mayLookAt, after } = bench(file(OURS));
    await Promise.all([mayLookAt('/a'), mayLookAt('/b'), mayLookAt('/private/c')]);
    after(23 * HOUR_MS);
    expect(await mayLookAt('/private/d')).toBe(false);
    await mayLookAt('/a', 'https://site.example:8443');
    await mayLookAt('/a', 'http://site.example');
    const origins = [SITE, 'https://site.example:8443', 'http://site.example'];
    expect(asked).toEqual(origins.map((origin) => `${origin}/robots.txt`));
    after(2 * HOUR_MS);
    await mayLookAt('/a');
    expect(asked).toHaveLength(4);
  });

  it.each([
    ['that is missing is believed for a day', status(404), 1],
    ['that could not be read is asked for again within the hour', status(503), 2],
  ])('%s', async (_, answer, times) => {
    const { asked, mayLookAt, after } = bench(answer);
    await mayLookAt('/a');
    after(HOUR_MS);
    await mayLookAt('/a');
    expect(asked).toHaveLength(times);
  });

  it('may be made to cost much, and does not', async () => {
    const names = 'User-agent: a\n'.repeat(15_000);
    const rules = 'Disallow: /x\n'.repeat(15_000);
    expect(await bench(file(`${names}User-agent: hydrant\n${rules}`)).mayLookAt('/xy')).toBe(false);
    const wild = `Disallow: /${'*a'.repeat(100)}b\n`.repeat(2_500);
    const text = `User-agent: hydrant\n${wild}Disallow: /aa`;
    expect(await bench(file(text)).mayLookAt(`/${'a'.repeat(2_000)}`)).toBe(false);
  });
});
