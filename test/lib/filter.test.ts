import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Entry, Link, Person, Source, Text } from '../../lib/domain.js';
import { Fault } from '../../lib/faults.js';
import { indexEntry, matches, parseFilter, type Filtered, type IndexedEntry } from '../../lib/filter.js';
import { BLOG, entryOf, NO_SOURCE } from '../support/stores.js';

const indexed = (entry: Partial<Entry>, source: Partial<Source> = {}, url: string = BLOG): IndexedEntry =>
  indexEntry({ entry: { ...entryOf('id', ''), ...entry }, source: { ...NO_SOURCE, ...source }, url });

const finds = (query: string, entry: IndexedEntry): boolean => matches(parseFilter(query), entry);

/** Whether the query finds an entry with this title. */
const findsTitle = (query: string, title: string): boolean => finds(query, indexed(entryOf('id', title)));

const html = (value: string): Text => ({ type: 'html', value });
const page = (href: string): Link => ({ href, rel: 'alternate' });

function refusalOf(query: string): string {
  try {
    parseFilter(query);
  } catch (error) {
    if (error instanceof Fault && error.code === 'invalid-options') return error.message;
    throw error;
  }
  return 'none';
}

describe('words', () => {
  it.each([
    ['hydrant', 'A red hydrant'],
    ['HYDRANT', 'a red hydrant'],
    ['hydrant', 'Hydrant, red!'],
    ['hydrant', '“Hydrant”'],
    ['hydrant', 'iPhone™, Hydrant™'],
    ['zurich', 'Zürich'],
    ['Zürich', 'ZURICH'],
    ['zu\u0308rich', 'z\u00fcrich'],
    ['strasse', 'Straße'],
    ['STRAẞE', 'strasse'],
    ['ΟΔΟΣ', 'η οδός'],
    ['istanbul', 'İSTANBUL'],
    ['fine', 'ﬁne'],
    ['x2', 'x²'],
    ['2026', '２０２６'],
    ['Zeitung', 'Zei\u00adtung'],
    ['שלום', 'שָׁלוֹם'],
    ['привет', 'Привет, мир'],
    ['한국어', '한국어 신문'],
    ['한국어', '한국어 신문'.normalize('NFD')],
    ['হাইড্র্যান্ট', 'লাল হাইড্র্যান্ট'],
    ['c++', 'Why C++ again'],
  ])('%s is in: %s', (query, title) => {
    expect(findsTitle(query, title)).toBe(true);
  });

  it.each([
    ['hydrant', 'Hydrants'],
    ['hydrant', 'firehydrant'],
    ['hydrant', ''],
    // Where marks are vowels and not ornaments.
    ['दिन', 'दान'],
    ['ハス', 'バス'],
  ])('%s is not in: %s', (query, title) => {
    expect(findsTitle(query, title)).toBe(false);
  });

  it.each([
    ['東京', '私は東京都に住んでいます'],
    ['东京', '我住在东京'],
    ['ภาษา', 'ภาษาไทยเป็นภาษา'],
    ['東京都', '私は東京都に住んでいます'],
    ['バス', 'ﾊﾞｽ'],
    ['ガソリン', 'ガソリンの値段が高い'],
    ['ガソリン', 'ガソリンの値段が高い'.normalize('NFD')],
  ])('%s is found where nothing separates words: %s', (query, title) => {
    expect(findsTitle(query, title)).toBe(true);
  });

  it('does not find what only looks like a word across two others', () => {
    expect(findsTitle('京都', '私は東京都に住んでいます')).toBe(false);
  });

  it.each<[string, Partial<Entry>]>([
    ['title', { title: html('A <b>red</b> one') }],
    ['summary', { summary: html('<p>A&#32;red one') }],
    ['content', { content: { type: 'xhtml', value: '<p>blue</p><p>red</p>' } }],
    ['category', { categories: [{ term: 'red things' }] }],
    ["category's label", { categories: [{ term: 'x', label: 'Red things' }] }],
  ])('are looked for in the %s', (_place, entry) => {
    expect(finds('red', indexed(entry))).toBe(true);
  });

  it.each<[string, Partial<Entry>]>([
    ['markup', { content: html('<p class="red">x</p><!-- red --><script>red</script>') }],
    ['a link', { links: [page('https://red.example/red')] }],
    ['an author', { authors: [{ name: 'Red' }] }],
    ['content that lives somewhere else', { content: { type: 'src', src: 'https://a.example/red' } }],
    ['the id', { id: 'red' }],
  ])('are not looked for in %s', (_place, entry) => {
    expect(finds('red', indexed(entry))).toBe(false);
  });

  it('takes plain text as it is', () => {
    expect(finds('b', indexed({ summary: { type: 'text', value: 'a <b> c' } }))).toBe(true);
  });
});

describe('phrases', () => {
  it.each([
    ['"red hydrant"', 'A Red Hydrant.', true],
    ['"red hydrant"', 'red, hydrant', true],
    ['"red hydrant"', 'hydrant red', false],
    ['"red hydrant"', 'red fire hydrant', false],
    ['"red hydrant"', 'red hydrants', false],
    ['"red hydrant"', 'hydrant: red, sacred hydrants', false],
    ['"red hydrant"', 'hydrant red hydrants red', false],
    ['"red hydrant"', 'red red hydrant', true],
    ['"hydrant"', 'Hydrant', true],
    ['“red hydrant”', 'red hydrant', true],
    ['e-mail', 'an e-mail', true],
    ['e-mail', 'mail e', false],
    ['example.org', 'see example.org', true],
    ["don't", 'I don’t', true],
    ['10:30', 'at 10:30', true],
    ['"title:red"', 'no title: red', true],
    ['"(a | b)"', 'b, a, b', true],
  ])('%s in "%s": %p', (query, title, expected) => {
    expect(findsTitle(query, title)).toBe(expected);
  });

  it('do not reach from one text into the next', () => {
    const entry = indexed({
      title: html('a red'),
      summary: html('hydrant'),
      categories: [{ term: 'fire' }, { term: 'plug' }],
    });
    expect(finds('red hydrant fire plug', entry)).toBe(true);
    expect(finds('"red hydrant"', entry)).toBe(false);
    expect(finds('"fire plug"', entry)).toBe(false);
  });

  it('do not reach from one author into the next, nor from a name into an address', () => {
    const entry = indexed({ authors: [{ name: 'Jane' }, { name: 'Doe', email: 'd@example.org' }] });
    expect(finds('author:"jane doe"', entry)).toBe(false);
    expect(finds('author:"doe d"', entry)).toBe(false);
    expect(finds('author:jane author:doe author:example', entry)).toBe(true);
  });
});

describe('operators', () => {
  it.each([
    ['red hydrant', 'hydrant, red', true],
    ['red hydrant', 'red', false],
    ['red + hydrant', 'hydrant, red', true],
    ['+red +hydrant', 'red', false],
    ['red | blue', 'blue', true],
    ['red|blue', 'red', true],
    ['red | blue', 'green', false],
    ['red | blue | green', 'green', true],
    ['red blue green', 'red blue', false],
    ['-red', 'blue', true],
    ['-red', 'red', false],
    ['–red', 'red', false],
    ['-"red hydrant"', 'red', true],
    ['-"red hydrant"', 'red hydrant', false],
    ['-(red | blue)', 'blue', false],
    ['-(red | blue)', 'green', true],
    ['-(red -blue)', 'red blue', true],
    ['hydrant -red', 'blue hydrant', true],
    ['hydrant -red', 'red hydrant', false],
    ['-red -blue', 'green', true],
    // AND binds tighter than |.
    ['red hydrant | blue', 'blue', true],
    ['red hydrant | blue', 'red', false],
    ['blue | red hydrant', 'blue', true],
    ['(red | blue) hydrant', 'blue', false],
    ['(red | blue) hydrant', 'blue hydrant', true],
    ['paris (texas | france)', 'paris, texas', true],
    ['paris(texas|france)', 'paris', false],
    ['"a b"(c)"d"', 'a b c d', true],
    ['((red))', 'red', true],
    ['  red\thydrant\n', 'red hydrant', true],
    ['-title:red', 'red', false],
  ])('%s in "%s": %p', (query, title, expected) => {
    expect(findsTitle(query, title)).toBe(expected);
  });
});

describe('site:', () => {
  it.each([
    ['site:example.org', 'https://example.org/feed', true],
    ['site:example.org', 'https://blog.example.org:8443/feed', true],
    ['site:EXAMPLE.org', 'https://example.org./feed', true],
    ['site:example.org', 'https://badexample.org/feed', false],
    ['site:example.org', 'https://example.org.evil.test/feed', false],
    ['site:blog.example.org', 'https://example.org/feed', false],
    ['site:org', 'https://example.org/feed', true],
    ['site:*.example.org', 'https://blog.example.org/feed', true],
    ['site:"example.org"', 'https://example.org/', true],
    ['site:zürich.example', 'https://www.xn--zrich-kva.example/', true],
    ['site:[::1]', 'http://[::1]/feed', true],
    ['-site:example.org', 'https://example.org/feed', false],
  ])('%s with a feed at %s: %p', (query, url, expected) => {
    expect(finds(query, indexed({}, {}, url))).toBe(expected);
  });

  it("looks at the entry's own page as well, and at no other link", () => {
    const entry = indexed({ links: [page('https://b.example/1'), { href: 'https://c.example/2', rel: 'related' }] });
    expect(finds('site:b.example', entry)).toBe(true);
    expect(finds('site:c.example', entry)).toBe(false);
    expect(finds('site:blog.example', entry)).toBe(true);
  });

  it('finds nothing in what is no URL', () => {
    expect(finds('site:example.org', indexed({ links: [page('//example.org')] }, {}, 'example.org'))).toBe(false);
  });
});

describe('link:', () => {
  const entry = indexed({
    links: [page('https://Blog.example/2026/Post'), { href: 'https://cdn.example/a.mp3', rel: 'enclosure' }],
  });

  it.each([
    ['link:blog.example/2026/', true],
    ['link:/post', true],
    ['link:.MP3', true],
    ['link:2027', false],
    ['-link:cdn.example', false],
    ['link:" cdn.example "', true],
    ['link:https://blog.example/', true],
    ['link:blog.example/*', false],
    // A URL alone.
    ['https://cdn.example/', true],
    ['HTTPS://cdn.example/a', true],
    ['http://cdn.example/', false],
    ['-https://cdn.example/', false],
    ['"https://cdn.example/"', false],
  ])('%s: %p', (query, expected) => {
    expect(finds(query, entry)).toBe(expected);
  });
});

describe('language:', () => {
  it.each([
    ['language:en', 'en', true],
    ['language:en', 'en-GB', true],
    ['language:EN', 'en', true],
    ['language:en_gb', 'en-GB', true],
    ['language:en-GB', 'en', false],
    ['language:en', 'enm', false],
    ['language:en', 'fr', false],
    ['-language:en', 'fr', true],
  ])('%s with xml:lang %s: %p', (query, lang, expected) => {
    expect(finds(query, indexed({ lang }))).toBe(expected);
    expect(finds(query, indexed({}, { lang }))).toBe(expected);
  });

  it("prefers the entry's to the feed's", () => {
    expect(finds('language:fr -language:en', indexed({ lang: 'fr' }, { lang: 'en' }))).toBe(true);
  });

  it('does not find what has none', () => {
    expect(finds('language:en', indexed({}))).toBe(false);
  });
});

describe('author:', () => {
  const jane: Person = { name: 'Jané Doe', email: 'jd@example.org' };

  it.each([
    ['author:jane', true],
    ['author:JANE', true],
    ['author:"jane doe"', true],
    ['author:"doe jane"', false],
    ['author:jan', false],
    ['author:jd@example.org', true],
    ['author:jd@example.com', false],
    ['author:nobody', false],
    ['-author:jane', false],
  ])('%s: %p', (query, expected) => {
    expect(finds(query, indexed({ authors: [jane] }))).toBe(expected);
  });

  it('is that of where the entry was taken from, or that of the feed, where the entry names none', () => {
    const from = { ...NO_SOURCE, authors: [jane] };
    const feed = { authors: [{ name: 'Planet' }] };
    expect(finds('author:planet', indexed({}, feed))).toBe(true);
    expect(finds('author:jane -author:planet', indexed({ source: from }, feed))).toBe(true);
    expect(finds('author:joe -author:jane', indexed({ authors: [{ name: 'Joe' }], source: from }, feed))).toBe(true);
  });
});

describe('category:', () => {
  const entry = indexed({ categories: [{ term: 'sci-fi', label: 'Science  Fiction' }, { term: 'C++' }] });

  it.each([
    ['category:sci-fi', true],
    ['category:Sci-Fi', true],
    ['category:"science fiction"', true],
    ['category:science', false],
    ['category:c++', true],
    ['category:c#', false],
    ['category:c', false],
    ['-category:sci-fi', false],
  ])('%s: %p', (query, expected) => {
    expect(finds(query, entry)).toBe(expected);
  });
});

describe('title:', () => {
  const entry = indexed({ title: html('A red hydrant'), summary: html('a blue one') });

  it.each([
    ['title:red', true],
    ['Title:red', true],
    ['title:"red hydrant"', true],
    ['title:"hydrant red"', false],
    ['title:blue', false],
    ['blue', true],
    ['title:red blue', true],
    ['title:red|title:blue', true],
  ])('%s: %p', (query, expected) => {
    expect(finds(query, entry)).toBe(expected);
  });
});

describe('a query that cannot be read', () => {
  it.each([
    ['', 'expected a word, a phrase or a parenthesis at position 0'],
    ['   ', 'expected a word, a phrase or a parenthesis at position 3'],
    ['!?', 'expected a word, a phrase or a parenthesis at position 0'],
    ['red ""', 'expected a word, a phrase or a parenthesis at position 4'],
    ['red |', 'expected a word, a phrase or a parenthesis at position 5'],
    ['| red', 'expected a word, a phrase or a parenthesis at position 0'],
    ['red | | blue', 'expected a word, a phrase or a parenthesis at position 6'],
    ['red -', 'expected a word, a phrase or a parenthesis at position 5'],
    ['red - blue', 'expected a word, a phrase or a parenthesis at position 5'],
    ['--red', 'expected a word, a phrase or a parenthesis at position 1'],
    ['()', 'expected a word, a phrase or a parenthesis at position 1'],
    ['(red |)', 'expected a word, a phrase or a parenthesis at position 6'],
    ['red (blue (green)', 'expected a closing parenthesis for the one at position 4'],
    ['red) blue', 'expected an opening parenthesis before the closing one at position 3'],
    ['red "blue', 'expected a closing quote for the one at position 4'],
    ['author:"jane', 'expected a closing quote for the one at position 7'],
    ['a 19" screen', 'expected a closing quote for the one at position 4'],
    ['title:', 'expected a word or a phrase at position 6'],
    ['title: red', 'expected a word or a phrase at position 6'],
    ['title:(red)', 'expected a word or a phrase at position 6'],
    ['author:-', 'expected a name or an email address at position 7'],
    ['site:', 'expected a host such as example.org at position 5'],
    ['site:a%', 'expected a host such as example.org at position 5'],
    ['site:example.org/blog', 'expected a host such as example.org at position 5'],
    ['site:https://example.org', 'expected a host such as example.org at position 5'],
    ['link:""', 'expected a part of a URL at position 5'],
    ['language:english!', 'expected a language tag such as en or pt-BR at position 9'],
    ['category:" "', 'expected a category at position 9'],
  ])('%j: %s', (query, message) => {
    expect(refusalOf(query)).toBe(`That filter cannot be read: ${message}`);
  });

  it.each(['popularity:3', 'constructor:x', 'mailto:a@example.org', 'Betreff:x', 'a (ünknown:"x")'])(
    'because of a field that nobody knows: %s',
    (query) => {
      const fields = 'title:, author:, site:, link:, language:, category:';
      const start = query.search(/\p{L}+:/u);
      expect(refusalOf(query)).toBe(
        `That filter cannot be read: expected ${fields}, or quotes around all that has a colon, at position ${start}`,
      );
    },
  );

  it('because it is too long', () => {
    expect(refusalOf('a'.repeat(1_024))).toBe('none');
    expect(refusalOf('a'.repeat(1_025))).toMatch(/at most 1024 characters.* at position 1024$/);
  });

  it('because of parentheses that nest too deeply', () => {
    const nested = (depth: number, open = '(') => `${open.repeat(depth)}a${')'.repeat(depth)}`;
    expect(findsTitle(nested(32), 'a')).toBe(true);
    expect(findsTitle(nested(32, '-('), 'a')).toBe(true);
    expect(refusalOf(nested(33))).toMatch(/at most 32 levels of parentheses at position 32$/);
    expect(refusalOf('('.repeat(1_024))).toMatch(/at most 32 levels of parentheses at position 32$/);
    expect(refusalOf('-('.repeat(512))).toMatch(/at most 32 levels of parentheses at position 65$/);
  });
});

const WORDS = ['red', 'Blue', 'zürich', '東京', 'x2'];
const word = fc.constantFrom(...WORDS);
/** Every kind of term, about so few words that all of them are met. */
const term = fc.oneof(
  word,
  fc.tuple(word, word).map((pair) => `"${pair.join(' ')}"`),
  fc.tuple(fc.constantFrom('title', 'author', 'category', 'link'), word).map(([field, value]) => `${field}:"${value}"`),
  fc.constantFrom('site:a.example', 'site:example', 'language:en', 'https://a.example/'),
);
const query: fc.Arbitrary<string> = fc.letrec<{ query: string }>((tie) => ({
  query: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    term,
    fc.tuple(tie('query'), tie('query')).map(([a, b]) => `${a} ${b}`),
    fc.tuple(tie('query'), tie('query')).map(([a, b]) => `(${a} | ${b})`),
    tie('query').map((inside) => `-(${inside})`),
  ),
})).query;

const anyText = fc.oneof(
  fc.array(word, { maxLength: 5 }).map((some) => some.join(' ')),
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('<p>', '</p>', '<b', '&amp;', '&#xD800;', '<!--', 'red', '\0', 'e\u0301'))
    .map((parts) => parts.join('')),
);
const anyUrl = fc.oneof(
  fc.webUrl(),
  anyText,
  fc.constantFrom('https://a.example/red', 'mailto:a@b.example', 'http://'),
);
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }, required: (keyof T)[]) =>
  fc.record(fields, { requiredKeys: required });
const construct = record({ type: fc.constantFrom('text', 'html', 'xhtml'), value: anyText }, ['type', 'value']);
const outOfLine = fc.record({ type: fc.constant('src' as const), src: anyUrl });
const lists = {
  links: fc.array(fc.record({ href: anyUrl, rel: fc.constantFrom('alternate', 'enclosure', 'x') }), { maxLength: 3 }),
  authors: fc.array(record({ name: anyText, email: anyText, uri: anyUrl }, []), { maxLength: 2 }),
  categories: fc.array(record({ term: anyText, label: anyText }, ['term']), { maxLength: 3 }),
};
const lang = fc.oneof(fc.constantFrom('en', 'en-GB', ''), anyText);
const anySource = record({ ...lists, title: construct, lang }, ['links', 'authors', 'categories']);
const anyEntry = record(
  {
    ...lists,
    ...{ id: anyText, title: construct, summary: construct, content: fc.oneof(construct, outOfLine) },
    ...{ contributors: lists.authors, media: fc.constant([]), lang, source: anySource },
  },
  ['id', 'links', 'authors', 'categories', 'contributors', 'media'],
);
const filtered = fc.record({ entry: anyEntry, source: anySource, url: anyUrl }) as fc.Arbitrary<Filtered>;

/** Texts of which many nearly are queries. */
const nearlyQuery = fc
  .array(
    fc.oneof(
      fc.constantFrom(...'()|-"+ :'.split(''), 'site:', 'link:', 'language:', 'author:', 'category:', 'title:', 'x:'),
      fc.constantFrom('a', 'https://', 'example.org', '\ud800', '\0', '“', '–', '東京'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('whatever comes in', () => {
  it('a text is a query or is refused, and a query finds or does not find', () => {
    const seen = { read: 0, refused: 0 };
    fc.assert(
      fc.property(fc.oneof(nearlyQuery, fc.string({ unit: 'binary' })), filtered, (text, some) => {
        const refusal = refusalOf(text);
        if (refusal !== 'none') {
          seen.refused++;
          const position = Number(/ at position (\d+)$/.exec(refusal)?.[1]);
          expect(position).toBeLessThanOrEqual(text.length);
          return;
        }
        seen.read++;
        expect(typeof finds(text, indexEntry(some))).toBe('boolean');
      }),
      { numRuns: 2_000 },
    );
    expect(seen.read).toBeGreaterThan(100);
    expect(seen.refused).toBeGreaterThan(100);
  });

  it('no query that is built by the rules is refused', () => {
    fc.assert(fc.property(query, (text) => text.length > 1_024 || refusalOf(text) === 'none'));
  });

  it('very long texts are read, with and without spaces between the words', () => {
    const phrase = 'a '.repeat(500);
    expect(finds(`"${phrase}b"`, indexed({ content: html('a '.repeat(200_000) + 'b') }))).toBe(true);
    expect(finds(`"${phrase}b" | c`, indexed({ content: html('b' + ' a'.repeat(200_000)) }))).toBe(false);
    expect(finds('東京', indexed({ content: html('東京都に行くことができます'.repeat(50_000)) }))).toBe(true);
    expect(finds('b', indexed({ content: html('a'.repeat(500_000) + ' b') }))).toBe(true);
    expect(finds('b', indexed({ content: html('a\u0301\u0327'.repeat(100_000) + ' b') }))).toBe(true);
    expect(finds('b', indexed({ content: html('<a><b c='.repeat(50_000) + ' b') }))).toBe(false);
  });
});

describe('the rules of logic', () => {
  /** Both queries find the same entries; both answers occur. */
  function same(queries: fc.Arbitrary<readonly [string, string]>, expected = (found: boolean) => found) {
    const found = new Set<boolean>();
    fc.assert(
      fc.property(queries, filtered, ([one, other], some) => {
        const entry = indexEntry(some);
        const answer = finds(one, entry);
        found.add(answer);
        expect(finds(other, entry)).toBe(expected(answer));
      }),
      { numRuns: 500 },
    );
    expect(found.size).toBe(2);
  }
  const short = query.filter((text) => text.length < 300);
  const two = fc.tuple(short, short);

  it('a b is b a', () => same(two.map(([a, b]) => [`${a} ${b}`, `${b} ${a}`])));
  it('a | b is b | a', () => same(two.map(([a, b]) => [`${a} | ${b}`, `${b} | ${a}`])));
  it('-a finds just what a does not', () => {
    same(
      short.map((a) => [a, `-(${a})`]),
      (found) => !found,
    );
    same(
      term.map((a) => [a, `-${a}`]),
      (found) => !found,
    );
  });
  it('-(a | b) is -a -b', () => same(two.map(([a, b]) => [`-(${a} | ${b})`, `-(${a}) -(${b})`])));
  it('-(a b) is -a | -b', () => same(two.map(([a, b]) => [`-(${a} ${b})`, `-(${a}) | -(${b})`])));
  it('a b | c is (a b) | c', () =>
    same(fc.tuple(term, term, term).map(([a, b, c]) => [`${a} ${b} | ${c}`, `(${a} ${b}) | (${c})`])));
  it('-(-(a)) is a', () => same(short.map((a) => [`-(-(${a}))`, a])));

  it('any words that follow each other in a title are a phrase of it', () => {
    const latin = fc.array(fc.constantFrom('red', 'blue', 'café', 'x2'), { minLength: 1 });
    fc.assert(
      fc.property(latin, fc.nat(), fc.nat(), (some, from, count) => {
        const start = from % some.length;
        const phrase = some.slice(start, start + 1 + (count % 4));
        expect(findsTitle(`title:"${phrase.join(' ')}"`, some.join(', '))).toBe(true);
      }),
    );
  });
});
