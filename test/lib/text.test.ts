import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SaxesParser } from 'saxes';
import { cutMarkup, cutText, plainText, rewriteMarkup, xmlText, type Tag } from '../../lib/text.js';

/** The text that a strict parser with namespaces reads from inside a <div>; throws where it is not well-formed. */
function readAsXml(inside: string): string {
  let read = '';
  const parser = new SaxesParser({ xmlns: true });
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('text', (text) => (read += text));
  parser.write(`<div xmlns="http://www.w3.org/1999/xhtml">${inside}</div>`).close();
  return read;
}

/** Strings in which tags, entities, quotes, prefixes and half-open things are likely. */
const markup = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          '<p>',
          '</p>',
          '<b class="x">',
          "<a href='/?a&amp;b'",
          '>',
          '</b>',
          '<br>',
          '<br/>',
          '<x:y xmlns:x="q">',
          '</x:y>',
        ],
        ...[
          '<svg xmlns="http://www.w3.org/2000/svg">',
          '<i xmlns="">',
          '<1>',
          '<script>',
          '</script>',
          '<li>',
          '<table><td>',
        ],
        ...[
          '&nbsp;',
          '&amp;',
          '&lt;',
          '&bogus;',
          '&#1;',
          '&#xD800;',
          '&',
          '<',
          '<![CDATA[',
          ']]>',
          '<!--',
          '-->',
          '<?x',
          '?>',
        ],
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

describe('text for XML', () => {
  it('is valid whatever came in', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff)), (units) => {
        const text = xmlText(String.fromCharCode(...units)).replace(/\r\n?/g, '\n');
        expect(readAsXml(text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;'))).toBe(text);
      }),
    );
  });

  it('keeps what is allowed, marks broken surrogates, drops the rest', () => {
    expect(xmlText('tab\tline\n😀 nul\0 bell\x07 half\ud83d end\uffff')).toBe('tab\tline\n😀 nul bell half\ufffd end');
  });
});

describe('cutting text', () => {
  it('leaves short text alone', () => expect(cutText('short', 5)).toBe('short'));
  it('ends between words', () => expect(cutText('the quick brown fox', 13)).toBe('the quick…'));
  it('keeps a whole word that just fits', () => expect(cutText('the quick brown fox', 10)).toBe('the quick…'));
  it('never halves a character', () => expect(cutText('😀😀😀', 4)).toBe('😀…'));

  it('is never longer than was asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, max) => {
        expect(cutText(text, max).length).toBeLessThanOrEqual(max);
      }),
    );
  });
});

describe('cutting markup', () => {
  it('leaves short HTML as it is, sloppy or not', () => {
    expect(cutMarkup('<p>one<p>two<br>', 100, 'html')).toBe('<p>one<p>two<br>');
  });

  it.each([
    ['closes what is open', '<p>Some <b>bold and more words</b></p>', 30, '<p>Some <b>bold and…</b></p>'],
    ['drops a tag that does not fit', `<p>a</p><p class="${'x'.repeat(50)}">b</p>`, 20, '<p>a</p>…'],
    ['never ends inside an entity', '&lt;&lt;&lt;&lt;', 10, '&lt;&lt;…'],
    [
      'leaves scripts out',
      `<p>a</p><script>${'x'.repeat(50)}</script><p>${'b'.repeat(9)}</p>`,
      20,
      '<p>a</p><p>bbbb…</p>',
    ],
    ['empties void elements', `a<br>b<img src="i">${'c '.repeat(20)}`, 28, 'a<br />b<img src="i" />c c…'],
  ])('%s', (_, html, max, expected) => expect(cutMarkup(html, max, 'html')).toBe(expected));

  it.each([
    ['mixed content keeps its order', 'one <b>two</b> three', 'one <b>two</b> three'],
    ['entities of HTML become characters', 'a&nbsp;b &amp;nbsp; &hellip;', 'a\u00a0b &amp;nbsp; …'],
    ['what is no entity is text', 'AT&T &bogus;', 'AT&amp;T &amp;bogus;'],
    ['prefixes go', '<h:p xmlns:h="http://www.w3.org/1999/xhtml" h:x="1">a<h:br/></h:p>', '<p>a<br /></p>'],
    [
      'namespaces go',
      '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0"/></svg>',
      '<svg><path d="M0"></path></svg>',
    ],
    ['languages stay', '<p xml:lang="de">ja</p>'],
    ['void elements are empty', '<br></br><hr/>', '<br /><hr />'],
    ['what is open is closed', '<p>a<b>c', '<p>a<b>c</b></p>'],
    ['references to nothing go', 'a&#1;b&#xD800;c', 'ab\ufffdc'],
  ])('XHTML: %s', (_, xhtml, expected = xhtml) => {
    expect(cutMarkup(xhtml, 1_000, 'xhtml')).toBe(expected);
  });

  it('writes elements as it is told, where they stand, and leaves out what is not to be there', () => {
    const rewrite = ({ name, attributes }: Tag, parent: string) =>
      name === 'x'
        ? undefined
        : name === 'y'
          ? { name: 'i', attributes: {}, text: '<' }
          : { name: `${parent}b`, attributes };
    const markup = '<q n="1">1<q>2</q><x>3<q>4</q></x><y>5<x></x>6</y><x>7</q>8';
    expect(rewriteMarkup(markup, 1_000, 'html', rewrite)).toBe('<b n="1">1<bb>2</bb><i>&lt;</i></b>8');
  });

  it('ends nesting at a depth that everyone survives', () => {
    const nested = (depth: number, text: string) => `${'<b>'.repeat(depth)}${text}${'</b>'.repeat(depth)}`;
    expect(cutMarkup(nested(500, 'deep'), 10_000, 'xhtml')).toBe(nested(100, 'deep'));
    expect(cutMarkup(`seen ${nested(500_000, 'deep')}`, 10_000_000, 'xhtml')).toBe(`seen ${nested(100, '…')}`);
    expect(plainText(`seen ${nested(500_000, 'deep')}`)).toBe('seen');
  });

  it('gives well-formed XHTML, no longer than was asked for, whatever came in', () => {
    fc.assert(
      fc.property(markup, fc.nat(300), (text, max) => {
        const cut = cutMarkup(text, max, 'xhtml');
        readAsXml(cut);
        expect(cut.length).toBeLessThanOrEqual(max);
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives HTML in which every tag is whole, no longer than was asked for', () => {
    fc.assert(
      fc.property(markup, fc.nat(300), (text, max) => {
        const cut = cutMarkup(`${text}${'x'.repeat(max)}`, max, 'html');
        const tags = cut.match(/<\/?[a-z][^<>]*>/gi) ?? [];
        expect(cut.split('<').length - 1).toBe(tags.length);
        expect(cut.length).toBeLessThanOrEqual(max);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('plain text', () => {
  it.each([
    ['decodes entities once', 'AT&amp;T &amp;lt;b&gt;', 'AT&T &lt;b>'],
    ['puts blocks on lines of their own', '<h1>T</h1><p>a\n  b</p><div>c</div>d<br>e', 'T\n\na b\n\nc\nd\ne'],
    ['shows lists', '<ul><li>a</li><li>b</li></ul>', '• a\n• b'],
    ['reads images', '<p>see <img src="x" alt="a cat"></p>', 'see a cat'],
    ['leaves scripts and styles unread', 'a<script>x()</script><style>y{}</style>b', 'ab'],
    ['lets text that is no markup be', 'if a < b then', 'if a < b then'],
  ])('%s', (_, html, text) => expect(plainText(html)).toBe(text));
});
