import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { payload } from '../../component/payload.js';
import { parseFeedUrl, urlIn, type Entry, type Media, type Person, type Source, type Text } from '../../lib/domain.js';
import { readDocument } from '../../scheduler/document.js';
import { atomProblem } from '../support/atom.js';

const FIXTURES = 'test/fixtures/feeds';
const URL = parseFeedUrl('https://feed.example/feed');
const AT = Date.parse('2026-01-01T12:00:00Z');
const CAP = 61_440;

const render = (entry: Entry, source: Source, withSource: boolean, cap = CAP) =>
  payload({ id: 'x', at: AT, entry, source, url: URL }, withSource, cap);

/** As it goes out on the node of its feed, on one of many feeds, and where there is little room. */
const expectValid = (entry: Entry, source: Source, little = 2_048) => {
  for (const [withSource, cap] of [
    [false, CAP],
    [true, CAP],
    [false, little],
    [true, little],
  ] as const) {
    const { text } = render(entry, source, withSource, cap);
    expect({ text, problem: atomProblem(text) }).toEqual({ text, problem: undefined });
  }
};

describe('every entry is valid Atom', () => {
  const names = readdirSync(FIXTURES).filter((name) => !name.endsWith('.model.json'));
  it.each(names)('of %s', async (name) => {
    const parsed = await readDocument(readFileSync(`${FIXTURES}/${name}`), '', URL);
    if (parsed.kind !== 'feed') throw new Error(`Read as ${JSON.stringify(parsed)}`);
    for (const entry of parsed.entries) expectValid(entry, parsed.source);
  });

  it('whatever a feed says', () => {
    fc.assert(
      fc.property(anEntry, aSource, (entry, source) => expectValid(entry, source, 16_384)),
      { numRuns: 300 },
    );
  });
});

// What the model promises of itself, and otherwise anything.
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
const characters = fc.string({ unit: 'binary', maxLength: 20 });
const word = characters.map((text) => `x${text}`);
const url = fc
  .tuple(
    fc.constantFrom('https://a.example/', 'https://a.example/?', 'https://[::1]/#', 'mailto:', 'urn:x:'),
    characters,
  )
  .map(([start, rest]) => urlIn(start + rest)?.href ?? 'https://a.example/');
const lang = fc.constantFrom('de', 'en-GB', 'x-y');
const date = fc
  .date({ min: new Date('1970-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
  .map((one) => one.toISOString());
const markup = fc.constantFrom(
  '<p>a</p>',
  '<p>a<br />b</p>',
  '<p>a',
  '<a href="https://a.example/">a</a>',
  '&nbsp;',
  '<x:y>',
);

/** A record without the fields that are undefined. */
const record = <T extends object>(fields: { [K in keyof T]-?: fc.Arbitrary<T[K] | undefined> }): fc.Arbitrary<T> =>
  fc
    .record(fields as Record<string, fc.Arbitrary<unknown>>)
    .map((found) => Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as T);

const aText = record<Text>({
  type: fc.constantFrom('text', 'html', 'xhtml'),
  value: fc.oneof(characters, markup),
  lang: optional(lang),
});
const aPerson = record<Person>({ name: word, email: optional(characters), uri: optional(url) });
const aLink = record<Entry['links'][number]>({
  href: url,
  rel: fc.oneof(fc.constantFrom('alternate', 'self', 'enclosure'), word),
  type: optional(fc.oneof(fc.constant('text/html'), word)),
  hreflang: optional(lang),
  title: optional(word),
  length: optional(fc.nat()),
});
const links = fc.array(aLink, { maxLength: 5 });
const aCategory = record<Entry['categories'][number]>({ term: word, scheme: optional(word), label: optional(word) });
const aSource: fc.Arbitrary<Source> = record<Source>({
  id: optional(characters),
  title: optional(aText),
  subtitle: optional(aText),
  links,
  authors: fc.array(aPerson, { maxLength: 3 }),
  categories: fc.array(aCategory, { maxLength: 3 }),
  updated: optional(date),
  rights: optional(aText),
  icon: optional(url),
  logo: optional(url),
  lang: optional(lang),
  contributors: optional(fc.array(aPerson, { maxLength: 3 })),
  generator: optional(
    record<NonNullable<Source['generator']>>({ name: word, uri: optional(url), version: optional(word) }),
  ),
});
const aMedia = record<Media>({
  url,
  medium: optional(fc.oneof(fc.constantFrom('image', 'thumbnail'), word)),
  type: optional(word),
  width: optional(fc.nat()),
  height: optional(fc.nat()),
  title: optional(word),
});
const anEntry: fc.Arbitrary<Entry> = record<Entry>({
  id: fc.oneof(characters, url, fc.constantFrom('1', '', 'https://a.example/a b', 'tag:a.example,2026:1')),
  title: optional(aText),
  summary: optional(aText),
  content: optional(
    fc.oneof(
      aText,
      url.map((src) => ({ type: 'src' as const, src, mediaType: 'audio/ogg' })),
    ),
  ),
  links,
  authors: fc.array(aPerson, { maxLength: 3 }),
  contributors: fc.array(aPerson, { maxLength: 3 }),
  categories: fc.array(aCategory, { maxLength: 3 }),
  published: optional(date),
  updated: optional(date),
  rights: optional(aText),
  lang: optional(lang),
  source: optional(aSource),
  media: fc.array(aMedia, { maxLength: 3 }),
  inReplyTo: optional(
    fc.array(
      record<NonNullable<Entry['inReplyTo']>[number]>({
        ref: characters,
        href: optional(url),
        type: optional(word),
        source: optional(url),
      }),
    ),
  ),
  replies: optional(fc.nat()),
  where: optional(
    record<NonNullable<Entry['where']>>({
      latitude: fc.double({ min: -90, max: 90, noNaN: true }),
      longitude: fc.double({ min: -180, max: 180, noNaN: true }),
      name: optional(word),
    }),
  ),
  duration: optional(fc.double({ min: 0, max: 1e6, noNaN: true })),
  truncated: optional(fc.constant(true as const)),
});

const VALID =
  '<entry xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><id>urn:x:1</id><title>t</title>' +
  '<updated>2026-01-01T00:00:00Z</updated><author><name>Ann</name><email>ann@a.example</email></author>' +
  '<link rel="alternate" href="https://a.example/"/><category term="c"/><content type="html">c</content></entry>';

it('the schema takes a plain entry', () => expect(atomProblem(VALID)).toBeUndefined());

describe('the schema refuses', () => {
  it.each([
    ['no id', '<id>urn:x:1</id>', ''],
    ['two ids', '<id>urn:x:1</id>', '<id>urn:x:1</id><id>urn:x:2</id>'],
    ['an id that is no IRI', 'urn:x:1', '123'],
    ['an id with a space', 'urn:x:1', 'urn:x: 1'],
    ['an empty id', 'urn:x:1', ''],
    ['no title', '<title>t</title>', ''],
    ['a title of another type', '<title>', '<title type="text/html">'],
    ['no date', '<updated>2026-01-01T00:00:00Z</updated>', ''],
    ['a date without a zone', '00:00:00Z', '00:00:00'],
    ['a date that is none', '2026-01-01', '2026-02-31'],
    ['a date in other words', '2026-01-01T00:00:00Z', 'Thu, 01 Jan 2026 00:00:00 GMT'],
    ['no author', /<author>.*<\/author>/, ''],
    ['an author without a name', '<name>Ann</name>', ''],
    ['an author with an empty name', 'Ann', ' '],
    ['an e-mail address that is none', 'ann@a.example', 'ann'],
    ['a relative link', 'https://a.example/', '/a'],
    ['a link to nowhere', 'href="https://a.example/"', ''],
    ['a relation of two words', 'rel="alternate"', 'rel="alternate nofollow"'],
    ['a media type that is none', 'rel="alternate"', 'rel="alternate" type="html"'],
    ['two alternates of one kind', '<category', '<link rel="alternate" href="https://b.example/"/><category'],
    ['an alternate that does not say so', '<category', '<link href="https://b.example/"/><category'],
    ['a category without a term', ' term="c"', ''],
    ['a scheme that is no IRI', 'term="c"', 'term="c" scheme="tags"'],
    ['two contents', '<content type="html">c</content>', '<content>a</content><content>b</content>'],
    ['content elsewhere without a summary', ' type="html">c', ' src="https://a.example/c">'],
    ['content here and elsewhere', ' type="html">c', ' src="https://a.example/c">c'],
    ['neither content nor an alternate', /<link.*<\/content>/, ''],
    ['XHTML without a <div>', ' type="html">c', ' type="xhtml"><p xmlns="http://www.w3.org/1999/xhtml">c</p>'],
    ['XHTML in no namespace', ' type="html">c', ' type="xhtml"><div>c</div>'],
    ['a language that is none', 'xml:lang="en"', 'xml:lang="en_GB!"'],
    ['an element that Atom does not have', '<category', '<guid>1</guid><category'],
    [
      'a source without an id',
      '</entry>',
      '<source><title>t</title><updated>2026-01-01T00:00:00Z</updated></source></entry>',
    ],
    ['an answer to nothing', '</entry>', '<in-reply-to xmlns="http://purl.org/syndication/thread/1.0"/></entry>'],
    ['a place beyond the pole', '</entry>', '<point xmlns="http://www.georss.org/georss">91 0</point></entry>'],
    ['a picture without an address', '</entry>', '<thumbnail xmlns="http://search.yahoo.com/mrss/"/></entry>'],
    ['what is not XML', '<category term="c"/>', '<category term="c">'],
  ])('%s', (_, from, to) => {
    const broken = VALID.replace(from, to);
    expect(broken).not.toBe(VALID);
    expect(atomProblem(broken)).toBeDefined();
  });
});
