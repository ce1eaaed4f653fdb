import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { payload, problemIn } from '../../component/payload.js';
import { parseFeedUrl, type Entry, type Source, type Text } from '../../lib/domain.js';

const URL = parseFeedUrl('https://blog.example/atom.xml');
const SOURCE: Source = {
  title: { type: 'text', value: 'The Blog' },
  links: [{ rel: 'alternate', href: 'https://blog.example/' }],
  authors: [],
  categories: [],
  lang: 'en',
};
const AT = Date.parse('2026-01-01T12:00:00Z');
const CAP = 61_440;

const entry = (parts: Partial<Entry> = {}): Entry => ({
  id: 'tag:blog.example,2026:1',
  title: { type: 'text', value: 'Soliloquy' },
  links: [{ rel: 'alternate', href: 'https://blog.example/soliloquy' }],
  authors: [],
  contributors: [],
  categories: [],
  media: [],
  ...parts,
});

const render = (parts: Partial<Entry>, withSource = false, cap = CAP) =>
  payload({ id: 'x', at: AT, entry: entry(parts), source: SOURCE, url: URL }, withSource, cap);

describe('an Atom entry', () => {
  it('has what RFC 4287 demands, even when the feed did not say it', () => {
    const { element } = render({
      title: undefined as never,
      summary: { type: 'html', value: '<p>Now I am <b>alone</b></p>' },
    });
    expect(element.getChildText('id')).toBe('tag:blog.example,2026:1');
    expect(element.getChildText('title')).toBe('Now I am alone');
    expect(element.getChildText('updated')).toBe('2026-01-01T12:00:00.000Z');
    expect(element.getChild('author')?.getChildText('name')).toBe('The Blog');
    expect(element.attrs['xml:lang']).toBe('en');
  });

  it('keeps text, html and xhtml apart', () => {
    const kinds: readonly (readonly [Text['type'], string, string])[] = [
      ['text', 'a < b', '<summary>a &lt; b</summary>'],
      ['html', '<p>a</p>', '<summary type="html">&lt;p&gt;a&lt;/p&gt;</summary>'],
      ['xhtml', 'a <b>b</b>', 'type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">a <b'],
    ];
    for (const [type, value, expected] of kinds) expect(render({ summary: { type, value } }).text).toContain(expected);
  });

  it('serves what says it is XHTML, but is not XML, as HTML', () => {
    const { element } = render({ content: { type: 'xhtml', value: '<p>one<br>two & three' } });
    expect(element.getChild('content')?.attrs['type']).toBe('html');
    expect(element.getChildText('content')).toBe('<p>one<br>two & three');
  });

  it('names the feed in atom:source on nodes that carry many', () => {
    const source = render({}, true).element.getChild('source');
    expect(source?.getChildText('id')).toBe(URL);
    expect(source?.getChildText('title')).toBe('The Blog');
    expect(render({}).element.getChild('source')).toBeUndefined();
  });
});

const LINK = { rel: 'alternate', href: 'https://blog.example/soliloquy' };

describe('what Atom does not allow is put into its words', () => {
  it.each([
    ['tag:blog.example,2026:1', 'tag:blog.example,2026:1'],
    ['https://blog.example/?p=1', 'https://blog.example/?p=1'],
    ['123', 'urn:hydrant:id:5oaqwgvpu2:123'],
    ['two words & more', 'urn:hydrant:id:5oaqwgvpu2:two%20words%20%26%20more'],
    ['https://blog.example/a b', 'urn:hydrant:id:5oaqwgvpu2:https%3A%2F%2Fblog.example%2Fa%20b'],
  ])('the id %s', (id, published) => expect(render({ id }).element.getChildText('id')).toBe(published));

  it('an id that is too long, with a hash of it, however little room there is', () => {
    const id = (from: string, cap = CAP) =>
      render({ id: from + '9'.repeat(3_000) }, false, cap).element.getChildText('id');
    expect(id('1')).toMatch(/^urn:hydrant:id:[0-9a-f]{32}$/);
    expect(id('1', 2_048)).toBe(id('1'));
    expect(id('2')).not.toBe(id('1'));
  });

  it('links: one alternate of a kind, no relations of two words, no spaces', () => {
    const { element } = render({
      links: [
        LINK,
        { ...LINK, href: 'https://blog.example/other' },
        { ...LINK, type: 'audio' },
        { ...LINK, hreflang: 'de', href: 'https://blog.example/{de}|[1]' },
        { rel: 'alternate nofollow', href: 'https://blog.example/x' },
      ],
    });
    expect(
      element.getChildren('link').map(({ attrs }): unknown[] => [attrs['rel'], attrs['href'], attrs['type']]),
    ).toEqual([
      ['alternate', 'https://blog.example/soliloquy', undefined],
      ['related', 'https://blog.example/other', undefined],
      ['related', 'https://blog.example/soliloquy', undefined],
      ['alternate', 'https://blog.example/%7Bde%7D%7C%5B1%5D', undefined],
    ]);
  });

  it('content elsewhere, with a summary', () => {
    const { element } = render({ content: { type: 'src', src: 'https://blog.example/s.ogg', mediaType: 'audio/ogg' } });
    expect(element.getChildText('summary')).toBe('Soliloquy');
    expect(element.getChild('content')?.attrs).toEqual({ src: 'https://blog.example/s.ogg', type: 'audio/ogg' });
  });
});

it('says what Atom has no words for in those of its extensions', () => {
  const { text } = render({
    inReplyTo: [
      { ref: 'tag:a.example,2026:1', href: 'https://a.example/1', type: 'text/html', source: 'https://a.example/feed' },
    ],
    replies: 0,
    where: { latitude: 55.68, longitude: 12.57, name: 'Elsinore' },
    duration: 754.2,
  });
  for (const part of [
    '<in-reply-to xmlns="http://purl.org/syndication/thread/1.0" ref="tag:a.example,2026:1" href="https://a.example/1"' +
      ' type="text/html" source="https://a.example/feed"/>',
    '<total xmlns="http://purl.org/syndication/thread/1.0">0</total>',
    '<point xmlns="http://www.georss.org/georss">55.68 12.57</point>',
    '<featurename xmlns="http://www.georss.org/georss">Elsinore</featurename>',
    '<duration xmlns="http://www.itunes.com/dtds/podcast-1.0.dtd">754</duration>',
  ]) {
    expect(text).toContain(part);
  }
});

it('gives a text the language of the feed where the entry has another', () => {
  const summary = { type: 'text', value: 'To be' } as const;
  const { element } = render({ lang: 'da', title: { type: 'text', value: 'At være', lang: 'da' }, summary });
  expect(element.attrs['xml:lang']).toBe('da');
  expect(element.getChild('summary')?.attrs['xml:lang']).toBe('en');
  expect(render({ summary }).element.getChild('summary')?.attrs['xml:lang']).toBeUndefined();
});

describe('atom:source', () => {
  const origin: Source = {
    title: { type: 'html', value: 'A &amp; B' },
    links: [],
    authors: [{ name: 'Ann' }],
    categories: [],
  };

  it('has what a feed must have, even when the feed did not say it', () => {
    const source = render({ updated: '2026-01-02T00:00:00.000Z' }, true).element.getChild('source');
    expect(source?.getChildText('updated')).toBe('2026-01-02T00:00:00.000Z');
    expect(source?.getChildren('link').map(({ attrs }): unknown => attrs['rel'])).toEqual(['self', 'alternate']);
  });

  it('is where a planet has taken the entry from, and so is the author', () => {
    const links = [{ rel: 'self', href: 'https://origin.example/feed' }];
    const { element } = render({ source: { ...origin, links } }, true);
    expect(element.getChild('source')?.getChildText('id')).toBe('https://origin.example/feed');
    expect(element.getChild('author')?.getChildText('name')).toBe('Ann');
  });

  it('is the feed where the planet does not say which feed it was', () => {
    expect(render({ source: origin }, true).element.getChild('source')?.getChildText('id')).toBe(URL);
    expect(render({ source: origin }).element.getChild('source')).toBeUndefined();
  });
});

describe('what is too long', () => {
  it.each(['text', 'html', 'xhtml'] as const)('is cut to a well-formed beginning, and says so (%s)', (type) => {
    const paragraph = type === 'text' ? 'Tomorrow & tomorrow. ' : '<p>Tomorrow &amp; <i>tomorrow</i>.</p>';
    const { element, text } = render({ content: { type, value: paragraph.repeat(60_000) } });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(CAP);
    expect(problemIn(text)).toBeUndefined();
    expect(element.getChild('truncated', 'urn:hydrant:entry:0')).toBeDefined();
    expect(element.getChild('link')?.attrs['href']).toBe('https://blog.example/soliloquy');
    expect(element.getChild('content')?.toString().length).toBeGreaterThan(10_000);
  });

  it('still has title, id and link when everything about it is too long', () => {
    const long = 'x'.repeat(100_000);
    const { element, text } = render({
      id: `tag:${long}`,
      title: { type: 'text', value: long },
      categories: Array.from({ length: 5_000 }, (_, n) => ({ term: `category-${n}` })),
    });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(CAP);
    expect(element.getChildText('title')).toHaveLength(120);
    expect(element.getChildren('link')).toHaveLength(1);
  });
});

it('is well-formed whatever a feed says', () => {
  const anything = fc.string({ unit: 'binary', maxLength: 300 });
  const text = fc.record({
    type: fc.constantFrom('text' as const, 'html' as const, 'xhtml' as const),
    value: anything,
  });
  const link = fc.record({ rel: anything, href: anything, title: anything });
  fc.assert(
    fc.property(anything, text, text, fc.array(link), anything, (id, title, content, links, name) => {
      const parts = {
        id,
        title,
        content,
        links,
        authors: [{ name }],
        categories: [{ term: name, label: id }],
        lang: name,
      };
      const { text: rendered } = render(parts, true);
      expect(problemIn(rendered)).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

it.each([
  ['a control character', '<a>\u000b</a>'],
  ['an undeclared prefix', '<m:a/>'],
  ['a duplicate attribute', "<a b='1' b='2'/>"],
  ['an HTML entity', '<a>&nbsp;</a>'],
  ['a DOCTYPE', '<!DOCTYPE a><a/>'],
  ['a comment', '<a><!-- b --></a>'],
  ['a processing instruction', '<a><?b c?></a>'],
  ['two roots', '<a/><b/>'],
  ['a cut', '<a><b></a>'],
])('the proof refuses %s, which would cost the stream', (_, text) => {
  expect(problemIn(text)).toBeDefined();
});
