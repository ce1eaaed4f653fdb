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
