import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Entry, Text } from '../../lib/domain.js';
import { fileOf, pageOf, textChange, visibleChange } from '../../lib/similarity.js';
import { entryOf } from '../support/stores.js';

const html = (value: string): Text => ({ type: 'html', value });
const saying = (content: Entry['content'] | undefined, more: Partial<Entry> = {}): Entry => ({
  ...entryOf('a', 'Title'),
  ...(content && { content }),
  ...more,
});
const enclosing = (...hrefs: string[]): Entry => ({
  ...entryOf('a'),
  links: hrefs.map((href) => ({ href, rel: 'enclosure' })),
});

describe('the change of a text', () => {
  it.each([
    ['nothing', 'one two three four', 'one two three four', 0],
    ['one word of four', 'one two three four', 'one two three five', 25],
    ['one word more', 'one two three', 'one two three four', 25],
    ['one word less', 'one two three four', 'one two three', 25],
    ['a word that is said once less', 'no no no yes', 'no no yes', 25],
    ['everything', 'one two', 'three four', 100],
    ['from nothing', '', 'one', 100],
    ['to nothing', 'one', '', 100],
    ['the order', 'one two three', 'three one two', 0],
    ['case and punctuation', 'Hello, world', '"hello world!"', 0],
    ['a number', 'it is 1:0 now', 'it is 2:0 now', 20],
    ['a currency', '5 €', '5 $', 50],
    ['an emoji', 'fine 👍', 'fine 🚀', 100 / 3],
    ['accents', 'café noir', 'cafe noir', 50],
    ['one letter of five of Japanese', '吾輩は猫だ', '吾輩は犬だ', 40],
    ['all letters of Chinese', '今天天气好', '明年再见吧', 100],
    ['the end of Thai, in letters', 'สวัสดี', 'สวัสดา', 100 / 6],
    ['a Latin word within Chinese', '我用Linux系统', '我用Windows系统', 20],
    ['a Latin word out of Chinese', '我用Linux系统', '我用系统', 40],
    ['a vowel sign of Hindi', 'हिन्दी भाषा', 'हिन्दू भाषा', 50],
  ])('of %s', (_, before, after, change) => {
    expect(textChange(before, after)).toBeCloseTo(change);
  });

  it('is the same in both directions, from 0 to 100, and nothing between equals', () => {
    const text = fc
      .array(fc.constantFrom('a', 'word', ' ', '. ', '猫', '犬', 'ไทย', '👍', '\ud800', '\n'))
      .map((all) => all.join(''));
    fc.assert(
      fc.property(text, text, (one, other) => {
        const change = textChange(one, other);
        expect(change).toBe(textChange(other, one));
        expect(change).toBeGreaterThanOrEqual(0);
        expect(change).toBeLessThanOrEqual(100);
        expect(textChange(one, one)).toBe(0);
      }),
    );
  });

  it('is everything where no word is common', () => {
    const words = (letter: string) =>
      fc
        .array(
          fc.nat().map((n) => `${letter}${n}`),
          { minLength: 1 },
        )
        .map((all) => all.join(' '));
    fc.assert(
      fc.property(words('x'), words('y'), (one, other) => {
        expect(textChange(one, other)).toBe(100);
      }),
    );
  });
});

describe('what a reader sees of an entry changes', () => {
  it('by nothing when only its markup does', () => {
    expect(visibleChange(saying(html('<p>a &amp; b</p>')), saying(html('<div class="x">a &#38; b</div>')))).toBe(0);
    expect(visibleChange(saying(html('<p>one two</p>')), saying({ type: 'text', value: 'one two' }))).toBe(0);
    expect(visibleChange(saying({ type: 'xhtml', value: '<p>one</p>' }), saying(html('one')))).toBe(0);
  });

  it('by what differs in the title where that is more than in the text', () => {
    const text = html('one two three four');
    expect(visibleChange(saying(text), saying(text, { title: { type: 'text', value: 'Another' } }))).toBe(100);
    expect(visibleChange(saying(text), saying(html('one two three'), { title: html('<b>Title</b> more') }))).toBe(50);
  });

  it('by what differs in the text where that is more than in the title', () => {
    expect(visibleChange(saying(html('one two')), saying(html('one three')))).toBe(50);
  });

  it('by what differs in the summary where there is no content', () => {
    const summary = (value: string) => saying(undefined, { summary: { type: 'text', value } });
    expect(visibleChange(summary('one two'), summary('one three'))).toBe(50);
  });

  it('not by the summary beside a content', () => {
    const summary = (value: string) => saying(html('text'), { summary: { type: 'text', value } });
    expect(visibleChange(summary('one'), summary('two'))).toBe(0);
  });

  it('not by what nobody reads', () => {
    const change = { categories: [{ term: 'news' }], updated: '2026-01-01T00:00:00Z', replies: 7 };
    expect(visibleChange(saying(html('text')), saying(html('text'), change))).toBe(0);
  });

  it('entirely with an enclosure that was not there', () => {
    expect(visibleChange(enclosing(), enclosing('https://a.example/1.mp3'))).toBe(100);
    expect(visibleChange(enclosing('https://a.example/1.mp3'), enclosing('https://a.example/2.mp3'))).toBe(100);
  });

  it('not by an enclosure that goes, or whose address is signed anew', () => {
    expect(visibleChange(enclosing('https://a.example/1.mp3'), enclosing())).toBe(0);
    expect(visibleChange(enclosing('http://a.example/1.mp3?sign=1'), enclosing('https://a.example/1.mp3?sign=2'))).toBe(
      0,
    );
  });

  it('not by links that are no enclosures', () => {
    expect(
      visibleChange(saying(html('x')), saying(html('x'), { links: [{ href: 'https://a.example/', rel: 'related' }] })),
    ).toBe(0);
  });

  it('entirely with content that lives somewhere else', () => {
    const at = (src: string): Entry['content'] => ({ type: 'src', src });
    expect(visibleChange(saying(at('https://a.example/1')), saying(at('https://a.example/2')))).toBe(100);
    expect(visibleChange(saying(html('one')), saying(at('https://a.example/2')))).toBe(100);
    expect(visibleChange(saying(at('https://a.example/2')), saying(at('https://a.example/2')))).toBe(0);
    expect(visibleChange(saying(at('https://a.example/2')), saying(html('one')))).toBe(100);
  });
});

describe('the address', () => {
  it.each([
    ['http://blog.example/1', 'https://blog.example/1'],
    ['https://www.blog.example/1', 'https://blog.example/1'],
    ['https://blog.example/1?utm_source=rss&utm_medium=feed', 'https://blog.example/1'],
    ['https://blog.example/1?p=2&utm_source=rss#top', 'https://blog.example/1?p=2#top'],
  ])('%s is that of the page %s', (one, other) => {
    expect(pageOf(one)).toBe(pageOf(other));
  });

  it.each([
    ['https://blog.example/?p=1', 'https://blog.example/?p=2'],
    ['https://blog.example/log#1', 'https://blog.example/log#2'],
    ['https://blog.example/www.', 'https://blog.example/'],
    ['https://a.blog.example/', 'https://blog.example/'],
  ])('%s is not that of the page %s', (one, other) => {
    expect(pageOf(one)).not.toBe(pageOf(other));
  });

  it('of a file has no query', () => {
    expect(fileOf('https://a.example/1.mp3?sign=1#t=2')).toBe('a.example/1.mp3');
  });
});
