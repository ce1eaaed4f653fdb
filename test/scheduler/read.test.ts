import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { parseFeedUrl, type Target } from '../../lib/domain.js';
import { readDocument } from '../../scheduler/document.js';
import type { Fetched } from '../../scheduler/fetch.js';
import { createReader } from '../../scheduler/read.js';

const URL = parseFeedUrl('https://feed.example/feed');
const FEED = '<rss version="2.0"><channel><title>t</title><item><guid>1</guid></item></channel></rss>';
const VALIDATORS = { etag: '"1"' };

/** Reads a URL that answers like this. */
function read(answer: string | Fetched, { link = '', ...target }: Partial<Target> & { link?: string } = {}) {
  const url = parseFeedUrl('https://moved.example/feed');
  const fetched: Fetched =
    typeof answer === 'string'
      ? {
          kind: 'fetched',
          bytes: new Uint8Array(Buffer.from(answer)),
          contentType: '',
          link,
          validators: VALIDATORS,
          url,
        }
      : answer;
  return createReader({ fetch: async () => fetched, parse: readDocument })({ url: URL, ...target });
}

const hash = (text: string) => createHash('sha256').update(text).digest('base64url').slice(0, 16);

describe('a look at a URL', () => {
  it('finds a feed', async () => {
    expect(await read(FEED)).toEqual({
      kind: 'fresh',
      entries: [expect.objectContaining({ id: '1' })],
      source: { title: { type: 'text', value: 't' }, links: [], authors: [], categories: [] },
      validators: VALIDATORS,
      body: hash(FEED),
      url: 'https://moved.example/feed',
    });
  });

  it('finds how often the feed wants to be asked', async () => {
    const feed = FEED.replace('<item>', '<ttl>90</ttl><skipDays><day>Sunday</day></skipDays><item>');
    expect(await read(feed)).toMatchObject({ kind: 'fresh', pace: { seconds: 5_400, days: [0] } });
  });

  it('finds an empty feed', async () => {
    expect(await read('<feed xmlns="http://www.w3.org/2005/Atom"/>')).toMatchObject({ kind: 'fresh', entries: [] });
  });

  it('finds the whole entries of a feed that was cut off', async () => {
    const cut = FEED.replace('</channel>', '<item><guid>2</guid>').replace('</rss>', '');
    expect(await read(cut)).toMatchObject({ kind: 'fresh', entries: [{ id: '1' }], cut: true });
    expect(await read(FEED)).not.toHaveProperty('cut');
  });

  it('finds the same bytes again', async () => {
    expect(await read(FEED, { body: hash(FEED) })).toEqual({
      kind: 'unchanged',
      validators: VALIDATORS,
      hasBody: true,
    });
  });

  it('finds that the feed has moved for good, whether or not it has changed', async () => {
    const moved = parseFeedUrl('https://moved.example/feed');
    const fetched: Fetched = {
      ...{ kind: 'fetched', bytes: new Uint8Array(Buffer.from(FEED)), contentType: '', link: '' },
      ...{ validators: VALIDATORS, url: moved, moved },
    };
    expect(await read({ ...fetched, bytes: fetched.bytes.slice() })).toMatchObject({ kind: 'fresh', moved });
    expect(await read(fetched, { body: hash(FEED) })).toMatchObject({ kind: 'unchanged', moved });
    expect(await read({ kind: 'not-modified', moved })).toEqual({ kind: 'unchanged', moved });
  });

  it('finds for how long it is fresh, whether or not it has changed', async () => {
    const fetched: Fetched = {
      ...{ kind: 'fetched', bytes: new Uint8Array(Buffer.from(FEED)), contentType: '', link: '' },
      ...{ validators: VALIDATORS, url: URL, freshFor: 600 },
    };
    expect(await read(fetched)).toMatchObject({ kind: 'fresh', freshFor: 600 });
    expect(await read(fetched, { body: hash(FEED) })).toMatchObject({ kind: 'unchanged', freshFor: 600 });
    expect(await read({ kind: 'not-modified', freshFor: 60 })).toEqual({ kind: 'unchanged', freshFor: 60 });
  });

  it('takes what there is of a feed that was cut off, and says so; of anything else, a part is nothing', async () => {
    const cut = (text: string): Fetched => ({
      ...{ kind: 'fetched', bytes: new Uint8Array(Buffer.from(text)), isCut: true, contentType: '', link: '' },
      ...{ validators: {}, url: URL },
    });
    const failed = { kind: 'failed', reason: 'connect', text: 'The server broke off its answer' };
    expect(await read(cut(FEED))).toMatchObject({ kind: 'fresh', validators: {}, cut: true });
    expect(await read(cut('<html><p>'))).toEqual(failed);
  });

  it('is put off where the host is busy', async () => {
    expect(await read({ kind: 'postponed', seconds: 20 })).toEqual({ kind: 'postponed', seconds: 20 });
  });

  it('is told that nothing changed', async () => {
    expect(await read({ kind: 'not-modified' })).toEqual({ kind: 'unchanged' });
    expect(await read({ kind: 'not-modified', validators: VALIDATORS })).toEqual({
      kind: 'unchanged',
      validators: VALIDATORS,
    });
  });

  it('finds a page that names feeds, in itself or in its header', async () => {
    const page = '<html><link rel="alternate" type="application/rss+xml" href="/rss"></html>';
    const link =
      '</atom>; rel="alternate"; type="application/atom+xml", </rss>; rel="alternate"; type="application/rss+xml"';
    const feeds = ['https://moved.example/rss', 'https://moved.example/atom'];
    expect(await read(page, { link })).toEqual({ kind: 'page', feeds });
  });

  it('learns the hub from the header, once', async () => {
    const link = '<https://hub.example/>; rel="hub", </feed>; rel=self, </x>; rel=next';
    const hub = { href: 'https://hub.example/', rel: 'hub' };
    const self = { href: 'https://moved.example/feed', rel: 'self' };
    expect(await read(FEED, { link })).toMatchObject({ source: { links: [hub, self] } });
    const feed =
      '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><link rel="hub" href="https://hub.example/"/></feed>';
    expect(await read(feed, { link })).toMatchObject({ source: { links: [hub, self] } });
  });

  it.each([
    ['a page that names none', '<html><title>t</title></html>', 'not-a-feed'],
    ['some text', 'hello', 'not-a-feed'],
    ['nothing', '', 'not-a-feed'],
    ['other JSON', '{"a": 1}', 'not-a-feed'],
    ['other XML', '<?xml version="1.0"?><opml version="2.0"></opml>', 'not-a-feed'],
    ['other RDF', '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><x/></rdf:RDF>', 'not-a-feed'],
    ['a feed cut off in a tag', FEED.slice(0, 60), 'parse'],
    ['a feed cut off between two elements', FEED.slice(0, FEED.indexOf('</item>')), 'parse'],
    ['JSON Feed cut off', '{"version": "https://jsonfeed.org/version/1", "items": [', 'parse'],
  ])('finds %s', async (_, body, reason) => {
    const reading = await read(body);
    expect(reading).toMatchObject({ kind: 'failed', reason });
    expect(reading).toHaveProperty('text');
  });

  it('passes on why a server could not be reached', async () => {
    const failed: Fetched = { kind: 'failed', reason: 'http-status', status: 410, text: 'gone' };
    expect(await read(failed)).toEqual(failed);
  });
});
