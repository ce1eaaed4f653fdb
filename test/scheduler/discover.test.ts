import { describe, expect, it } from '@jest/globals';
import { discover as discoverOn, discoverInHeader, parseLinkHeader } from '../../scheduler/discover.js';

/** What a page leads to: the feeds that it names, else its guesses. */
function discover(html: string, page: string) {
  const { named, guessed } = discoverOn(html, page);
  return named.length > 0 ? named : guessed;
}

const PAGE = 'https://page.example/dir/index.html';
const rss = 'rel="alternate" type="application/rss+xml"';

describe('a page', () => {
  it.each([
    ['names RSS', `<link ${rss} href="/feed">`, ['https://page.example/feed']],
    [
      'names Atom',
      '<LINK REL=alternate TYPE=application/atom+xml HREF=atom.xml>',
      ['https://page.example/dir/atom.xml'],
    ],
    ['names RDF', '<link rel="alternate" type="application/rdf+xml" href="r">', ['https://page.example/dir/r']],
    ['names JSON Feed', '<link rel="alternate" type="application/feed+json" href="j">', ['https://page.example/dir/j']],
    [
      'names it among relations',
      '<link rel="me ALTERNATE" type="application/rss+xml; charset=utf-8" href="f">',
      ['https://page.example/dir/f'],
    ],
    ['has a base', `<base href="https://cdn.example/x/"><link ${rss} href="feed">`, ['https://cdn.example/x/feed']],
    ['has a relative base', `<base href="../y/"><link ${rss} href="feed">`, ['https://page.example/y/feed']],
    ['escapes', `<link ${rss} href="?a=1&amp;b=2#top">`, ['https://page.example/dir/index.html?a=1&b=2']],
    [
      'uses feed:',
      `<link ${rss} href="feed://x.example/f"><link ${rss} href="feed:https://y.example/f">`,
      ['http://x.example/f', 'https://y.example/f'],
    ],
    ['names one twice', `<link ${rss} href="f"><link ${rss} href="./f#x">`, ['https://page.example/dir/f']],
    ['names itself', `<link ${rss} href="${PAGE}">`, []],
    [
      'names what cannot be followed',
      `<link ${rss} href="javascript:0"><link ${rss} href="http://u:p@x.example/"><link ${rss}>`,
      [],
    ],
    [
      'names other things',
      '<link rel="alternate" hreflang="de" href="/de"><link rel="alternate stylesheet" type="application/rss+xml" href="/s"><link rel="alternate" type="application/json" href="/wp-json/wp/v2/posts/1">',
      [],
    ],
    ['is none', 'just some text, perhaps < markup', []],
  ])('that %s', (_, html, feeds) => expect(discover(html, PAGE)).toEqual(feeds));

  it('that names many is read best first', () => {
    const html = `
      <link rel="alternate" type="application/json" title="JSON" href="/1.json">
      <link rel="alternate" type="application/feed+json" title="JSON" href="/2.json">
      <link ${rss} title="Blog » Comments Feed" href="/comments/feed/">
      <link ${rss} title="Blog » Feed" href="/feed/">
      <link rel="alternate" type="application/atom+xml" title="Atom" href="/atom">`;
    const paths = discover(html, PAGE).map((url) => new URL(url).pathname);
    expect(paths).toEqual(['/feed/', '/atom', '/2.json', '/1.json', '/comments/feed/']);
  });

  it('that names thousands gives twenty', () => {
    const html = Array.from({ length: 5_000 }, (_, n) => `<link ${rss} href="/${n}">`).join('');
    expect(discover(html, PAGE)).toHaveLength(20);
  });

  it('that only links to a feed is guessed at', () => {
    const html =
      '<a href="/about">x</a><a href="/feed/">x</a><a href="/blog.rss?x">x</a><a href="atom.xml">x</a><a href="/feedback">x</a>';
    expect(discover(html, PAGE)).toEqual([
      'https://page.example/feed/',
      'https://page.example/blog.rss?x',
      'https://page.example/dir/atom.xml',
    ]);
    expect(discover(`<link ${rss} href="/named">${html}`, PAGE)).toEqual(['https://page.example/named']);
  });
});

describe('a Link header', () => {
  it('is taken apart', () => {
    const header =
      '<https://hub.example/?a,b>; rel="hub", </f>;rel=alternate;type="application/rss+xml"; title="a; \\"b", <x>, bad';
    expect(parseLinkHeader(header)).toMatchObject([
      { href: 'https://hub.example/?a,b', rel: 'hub' },
      { href: '/f', rel: 'alternate', type: 'application/rss+xml' },
      { href: 'x', rel: '' },
    ]);
  });

  it('names feeds too', () => {
    const header = '</a>; rel="alternate"; type="application/atom+xml", </b>; rel="next"; type="application/atom+xml"';
    expect(discoverInHeader(header, PAGE)).toEqual(['https://page.example/a']);
  });

  it('may be hostile', () => {
    for (const part of ['<', '<>;', '<a>; rel=', '<a>; rel="', ';;', '<a>;a;']) parseLinkHeader(part.repeat(4_000));
  });
});
