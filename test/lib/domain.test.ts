import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  digest,
  feedIdIn,
  feedIdOf,
  FIREHOSE,
  itemIdOf,
  nodeIdOf,
  parseFeedUrl,
  parseJid,
  urlIn,
} from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import { BLOG } from '../support/stores.js';

const refused = (code: string) => expect.objectContaining({ code }) as unknown;

/** What a function throws. */
function thrownBy(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    expect(error).toBeInstanceOf(Fault);
    return error;
  }
}

/** URLs as the world writes them, with every kind of host. */
const urls = fc
  .tuple(
    fc.constantFrom('http', 'https', 'HTTP'),
    fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
      fc.constantFrom(
        '[::]',
        'bücher.example',
        'EXAMPLE.org',
        'under_score.example',
        '例え.jp',
        'a..b',
        'localhost',
        '-x-',
      ),
      fc
        .array(fc.constantFrom('a', 'b', '-'), { minLength: 1, maxLength: 60 })
        .map((label) => `x${label.join('')}.example`),
      fc.constant(`${'long.'.repeat(45)}example`),
    ),
    fc.constantFrom('', ':80', ':443', ':8080'),
    fc.webPath(),
    fc.constantFrom('', '?', '?a=b&c', '#', '#part', '?q#part', '?ü=😀'),
  )
  .map(([scheme, host, port, path, rest]) => `${scheme}://${host}${port}${path}${rest}`)
  .filter((text) => urlIn(text) !== undefined);

describe('the URL of a feed', () => {
  it.each([
    ['no URL', 'princely_musings'],
    ['nothing', ''],
    ['a path', '/feed.xml'],
    ['a script', 'javascript:alert(1)'],
    ['a file', 'file:///etc/passwd'],
    ['another protocol', 'ftp://example.org/feed'],
    ['data', 'data:text/xml,<rss/>'],
    ['the feed: scheme', 'feed://example.org/feed'],
    ['no host', 'http://'],
    ['a user name', 'https://juliet@example.org/feed'],
    ['a password', 'https://juliet:secret@example.org/feed'],
    ['a password alone', 'https://:secret@example.org/feed'],
    ['a space at the end', 'https://example.org/feed '],
    ['a space within', 'https://example.org/a feed'],
    ['a tab', 'https://example.org/\tfeed'],
    ['a line break', 'https://example.org/\nfeed'],
    ['a control character', 'https://example.org/\u0001feed'],
    ['a C1 control character', 'https://example.org/\u0085feed'],
    ['a no-break space', 'https://example.org/\u00a0feed'],
    ['a right-to-left override', 'https://example.org/\u202efeed'],
    ['a right-to-left isolate', 'https://example.org/\u2067feed'],
    ['a right-to-left mark', 'https://example.org/\u200ffeed'],
    ['an Arabic letter mark', 'https://example.org/\u061cfeed'],
    ['a zero-width space', 'https://example.org/\u200bfeed'],
    ['a byte order mark', '\ufeffhttps://example.org/feed'],
    ['half a surrogate pair', 'https://example.org/\ud83dfeed'],
    ['more than 2,048 characters', `https://example.org/${'x'.repeat(2_030)}`],
    ['more than 2,048 characters once it is written out', `https://example.org/${'é'.repeat(1_000)}`],
    ['200 KB', `https://example.org/${'x'.repeat(200_000)}`],
  ])('is refused: %s', (_, text) => {
    expect(thrownBy(() => parseFeedUrl(text))).toEqual(refused('not-a-feed'));
  });

  it('is never named in the refusal, as it may hold a password', () => {
    const fault = thrownBy(() => parseFeedUrl('https://juliet:canary@example.org/feed'));
    expect(String(fault)).not.toContain('canary');
  });

  it.each([
    ['drops the fragment', 'https://example.org/feed#top', 'https://example.org/feed'],
    ['drops an empty fragment', 'https://example.org/feed#', 'https://example.org/feed'],
    ['drops the default port', 'https://example.org:443/feed', 'https://example.org/feed'],
    ['keeps another port', 'http://example.org:8080/feed', 'http://example.org:8080/feed'],
    ['writes the host in small letters', 'HTTPS://Example.ORG/Feed', 'https://example.org/Feed'],
    ['writes the host in ASCII', 'https://bücher.example/', 'https://xn--bcher-kva.example/'],
    ['resolves dots', 'https://example.org/a/../feed', 'https://example.org/feed'],
    ['has a path', 'https://example.org', 'https://example.org/'],
    ['keeps the query', 'https://example.org/?b=2&a=1', 'https://example.org/?b=2&a=1'],
  ])('%s', (_, text, url) => {
    expect(parseFeedUrl(text)).toBe(url);
  });

  it('is taken with a host beyond ASCII, however many have been taken before', () => {
    // Node compiles what is called often, and means something else by it then.
    const plain = JSON.parse('"https://example.org/"') as string;
    const beyond = JSON.parse('"https://b\u00fccher.example/"') as string;
    for (let n = 0; n < 200_000; n++) parseFeedUrl(plain);
    for (let n = 0; n < 1_000; n++) expect(parseFeedUrl(beyond)).toBe('https://xn--bcher-kva.example/');
  });

  it('of 2,048 characters is taken', () => {
    const text = `https://example.org/${'x'.repeat(2_028)}`;
    expect(parseFeedUrl(text)).toBe(text);
  });

  it('is written in one way only, in ASCII without credentials or fragment', () => {
    fc.assert(
      fc.property(urls, (text) => {
        const url = parseFeedUrl(text);
        expect(parseFeedUrl(url)).toBe(url);
        expect(url).toMatch(/^https?:\/\/[^@#\s/]+\/[!-~]*$/);
        expect(url).not.toContain('#');
      }),
    );
  });

  it('is a URL or a refusal, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string({ unit: 'binary' }).map((text) => `https://${text}`),
          fc.string({ unit: 'binary' }).map((text) => `https://example.org/${text}`),
        ),
        (text) => {
          const result = thrownBy(() => parseFeedUrl(text));
          if (typeof result === 'string') expect(parseFeedUrl(result)).toBe(result);
          else expect(result).toEqual(refused('not-a-feed'));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('a NodeID', () => {
  it('has only [a-z0-9._-], not many of them, and leads back to its feed', () => {
    fc.assert(
      fc.property(urls, (text) => {
        const url = parseFeedUrl(text);
        const node = nodeIdOf(url);
        expect(node).toMatch(/^[a-z0-9._-]{11,91}$/);
        expect(feedIdIn(node)).toBe(feedIdOf(url));
      }),
      { numRuns: 1_000 },
    );
  });

  it('begins with the host', () => {
    expect(nodeIdOf(BLOG)).toBe(`blog.example-${feedIdOf(BLOG)}`);
  });

  it.each([
    FIREHOSE,
    '',
    'blog.example',
    BLOG,
    feedIdOf(BLOG),
    `Blog.example-${feedIdOf(BLOG)}`,
    `blog.example-${feedIdOf(BLOG)}x`,
    `blog.example-${feedIdOf(BLOG)}\n`,
    `blog example-${feedIdOf(BLOG)}`,
    `${'x'.repeat(101)}-${feedIdOf(BLOG)}`,
  ])('is not %j', (text) => {
    expect(feedIdIn(text)).toBeUndefined();
  });
});

describe('ids', () => {
  it('stay what they are, for ever: stored data and subscribers know them', () => {
    expect(feedIdOf(parseFeedUrl('https://blog.example/atom.xml'))).toBe('5oaqwgvpu2');
    expect(itemIdOf(feedIdOf(BLOG), 'tag:1')).toBe('15e734bb9655dbfed6b9cb90bfb9bda9');
    expect(digest('romeo@example.net')).toBe('pzlyuxyd76lgays7');
  });

  it('of feeds are ten characters, those of items thirty-two', () => {
    fc.assert(
      fc.property(urls, fc.string({ unit: 'binary' }), (url, entryId) => {
        const feed = feedIdOf(parseFeedUrl(url));
        expect(feed).toMatch(/^[a-z2-7]{10}$/);
        expect(itemIdOf(feed, entryId)).toMatch(/^[0-9a-f]{32}$/);
        expect(digest(entryId)).toMatch(/^[a-z2-7]{16}$/);
      }),
    );
  });

  it('of the same entry id in two feeds differ', () => {
    const other = feedIdOf(parseFeedUrl('https://other.example/'));
    expect(itemIdOf(feedIdOf(BLOG), 'tag:1')).not.toBe(itemIdOf(other, 'tag:1'));
    expect(itemIdOf(feedIdOf(BLOG), 'tag:1')).not.toBe(itemIdOf(feedIdOf(BLOG), 'tag:2'));
  });
});

describe('a JID', () => {
  it.each([
    ['Romeo@Example.NET', 'romeo@example.net', 'romeo@example.net'],
    ['romeo@example.net/Orchard Wall', 'romeo@example.net/Orchard Wall', 'romeo@example.net'],
    ['example.net', 'example.net', 'example.net'],
    ['example.net/a@b/c', 'example.net/a@b/c', 'example.net'],
    ['d\\27artagnan@example.net', 'd\\27artagnan@example.net', 'd\\27artagnan@example.net'],
    ['ромео@пример.рф/сад', 'ромео@пример.рф/сад', 'ромео@пример.рф'],
    ['romeo@[::1]/x', 'romeo@[::1]/x', 'romeo@[::1]'],
  ])('%s is understood', (text, full, bare) => {
    expect(parseJid(text)).toEqual({ full, bare, domain: bare.split('@').at(-1) });
    expect(parseJid(full).full).toBe(full);
  });

  it.each([
    ['nothing', ''],
    ['an empty local part', '@example.net'],
    ['no domain', 'romeo@'],
    ['no domain but a resource', 'romeo@/x'],
    ['a resource alone', '/x'],
    ['an empty resource', 'romeo@example.net/'],
    ['two at signs', 'romeo@juliet@example.net'],
    ['a space in the local part', 'romeo montague@example.net'],
    ['a quote in the local part', 'romeo"@example.net'],
    ['a space in the domain', 'romeo@exam ple.net'],
    ['a space before it', ' romeo@example.net'],
    ['a line break after it', 'romeo@example.net\n'],
    ['a NUL', 'romeo@example.net/\u0000'],
    ['a control character', 'romeo@example.net/\u0007'],
    ['a C1 control character', 'romeo@example.net/\u0085'],
    ['half a surrogate pair', 'romeo@example.net/\ud83d'],
    ['a local part too long', `${'x'.repeat(1_024)}@example.net`],
    ['a domain too long', `romeo@${'x'.repeat(1_024)}`],
    ['a resource too long', `romeo@example.net/${'x'.repeat(1_024)}`],
    ['200 KB', `romeo@example.net/${'x'.repeat(200_000)}`],
  ])('is none with %s', (_, text) => {
    expect(thrownBy(() => parseJid(text))).toEqual(refused('invalid-jid'));
  });

  it('is one or a refusal, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('', 'romeo@', 'romeo@example.net/'), (text, start) => {
        const result = thrownBy(() => parseJid(`${start}${text}`));
        if (result instanceof Fault) expect(result).toEqual(refused('invalid-jid'));
        else expect(parseJid((result as { full: string }).full)).toEqual(result);
      }),
      { numRuns: 1_000 },
    );
  });
});
