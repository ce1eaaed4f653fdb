import { describe, expect, it } from '@jest/globals';
import type { Entry, Link, Source, Text } from '../../lib/domain.js';
import { fingerprintsOf } from '../../lib/fingerprint.js';
import { entryOf, NO_SOURCE } from '../support/stores.js';

const HOME = 'https://site.example/';
const POST = 'https://site.example/2026/rain';

const linkTo = (href: string): Link => ({ rel: 'alternate', href });
const text = (value: string): Text => ({ type: 'text', value });
const sourceOf = (...links: string[]): Source => ({ ...NO_SOURCE, links: links.map(linkTo) });

interface Shown extends Omit<Partial<Entry>, 'title' | 'content' | 'links'> {
  readonly title?: string | Text;
  readonly content?: string | Entry['content'];
  readonly page?: string | undefined;
  readonly feed?: Source;
  readonly kind?: 'new' | 'edited';
}

/** What is known of an entry as one feed shows it; one with a page of its own unless said otherwise. */
function fingerprints({ title = 'Rain', content = 'It rains.', feed = sourceOf(HOME), kind = 'new', ...more }: Shown) {
  const { page, ...rest } = { page: POST, ...more };
  const entry: Entry = {
    ...entryOf('1'),
    ...rest,
    title: typeof title === 'string' ? text(title) : title,
    content: typeof content === 'string' ? text(content) : content,
    links: page === undefined ? [] : [{ rel: 'enclosure', href: 'https://site.example/rain.mp3' }, linkTo(page)],
  };
  return fingerprintsOf({ kind, entry, source: feed });
}

const first = (shown: Shown) => fingerprints(shown)[0];

/** Whether what the one feed shows is the same entry as what the other does. */
const isSame = (one: Shown, other: Shown) => {
  const [a, b] = [first(one), first(other)];
  return a !== undefined && a === b;
};

describe('an entry of two feeds is one', () => {
  it.each<[string, Shown]>([
    ['by its page and title, whatever its id and text are', { id: 'b', content: 'It rains every day, and I …' }],
    ['though its page is written in another way', { page: 'http://www.site.example/2026/rain/?utm_source=rss#xtor=1' }],
    ['though its title is written in another way', { title: { type: 'html', value: '  <b>RAIN</b>\n' } }],
    ['though a planet shows it', { feed: sourceOf('https://planet.example/'), source: sourceOf(HOME) }],
  ])('%s', (_, other) => {
    expect(isSame({}, other)).toBe(true);
  });

  it.each(['tag:site.example,2026:1', 'urn:uuid:1225c695-cfb8-4ebb-aaaa-80da344efa6a', `${POST}?p=1`])(
    'by its id %s, where it has no page',
    (id) => {
      expect(isSame({ page: undefined, id }, { page: undefined, id, content: 'Other' })).toBe(true);
      expect(isSame({ page: undefined, id }, { page: undefined, id: `${id}2` })).toBe(false);
    },
  );

  it('by its id, where its page is not its own', () => {
    const id = 'tag:site.example,2026:1';
    expect(isSame({ page: HOME, id }, { page: HOME, id, content: 'Other' })).toBe(true);
    expect(isSame({ page: HOME, id }, { page: HOME, id: `${id}2` })).toBe(false);
  });

  it('when its only page is not its own, but all that it says is the same', () => {
    expect(isSame({ page: HOME }, { page: HOME, id: 'b' })).toBe(true);
    expect(isSame({ page: HOME }, { page: HOME, content: { type: 'html', value: '<p>It\nrains.</p>' } })).toBe(true);
  });

  it('though it has no title, on a page of its own', () => {
    expect(isSame({ title: '' }, { title: '', content: 'Other' })).toBe(true);
  });
});

describe('entries are two', () => {
  it.each<[string, Shown, Shown]>([
    ['with other titles', {}, { title: 'More rain' }],
    ['on other pages', {}, { page: `${POST}-again` }],
    ['in other parts of a page', { page: `${POST}#comment-1` }, { page: `${POST}#comment-2` }],
    ['with other titles, all of which lead to the home page', { page: HOME }, { page: HOME, title: 'Wind' }],
    ['with one title, all of which lead to the home page', { page: HOME }, { page: HOME, content: 'Still.' }],
    ['with one title, all of which lead where the feed does', { page: POST, feed: sourceOf(POST) }, {}],
    [
      'with one title, all of which lead to the list of news',
      { page: `${HOME}news/`, feed: sourceOf(`${HOME}news`) },
      { page: `${HOME}news/`, feed: sourceOf(`${HOME}news`), content: 'Still.' },
    ],
    [
      'that a planet shows, all of which lead to the home page of their own feed',
      { page: `${HOME}~romeo`, feed: sourceOf('https://planet.example/'), source: sourceOf(`${HOME}~romeo`) },
      {
        ...{ page: `${HOME}~romeo`, feed: sourceOf('https://planet.example/'), source: sourceOf(`${HOME}~romeo`) },
        content: 'Still.',
      },
    ],
    ['whose id is the home page too', { page: HOME, id: HOME }, { page: HOME, id: HOME, content: 'Still.' }],
    [
      'whose recordings are elsewhere',
      { page: HOME, content: { type: 'src', src: 'https://site.example/1.mp3' } },
      { page: HOME, content: { type: 'src', src: 'https://site.example/2.mp3' } },
    ],
  ])('%s', (_, one, other) => {
    expect(first(one)).toBeDefined();
    expect(isSame(one, other)).toBe(false);
  });

  it.each<[string, Shown]>([
    ['no page, and an id of its feed alone', { page: undefined, id: '42' }],
    ['no page, and an id that we have made', { page: undefined, id: 'hydrant:00ff' }],
    ['the home page only, and says nothing', { page: HOME, title: '', content: '' }],
    ['an address that is no page', { page: 'mailto:romeo@site.example', id: '42' }],
  ])('when one has %s', (_, shown) => {
    for (const kind of ['new', 'edited'] as const) expect(fingerprints({ ...shown, kind })).toEqual([]);
  });
});

describe('an edit', () => {
  const edited = (content: Shown['content'], more: Shown = {}) => fingerprints({ ...more, content, kind: 'edited' });

  it('is one by its words, whatever is around them', () => {
    const [plain] = edited('It rained.');
    expect(edited({ type: 'html', value: '<p>It <i>rained</i>.</p>' }, { id: 'b' })[0]).toBe(plain);
    expect(edited(undefined, { summary: text('It rained.'), content: undefined })[0]).not.toBe(plain);
    expect(edited('It rained again.')[0]).not.toBe(plain);
  });

  it('is not the entry as it was new', () => {
    expect(edited('It rains.')[0]).not.toBe(first({}));
  });

  it.each<[string, Shown]>([
    ['a page of its own', {}],
    ['the home page', { page: HOME }],
    ['an id only', { page: undefined, id: 'urn:example:1' }],
  ])('makes the entry known under its new title, with %s', (_, shown) => {
    expect(edited('It rained.', shown)).toEqual([expect.any(String), first({ ...shown, content: 'It rained.' })]);
  });
});

it('a fingerprint is short, and nothing that a stranger writes is in it', () => {
  expect(first({ title: 'x'.repeat(100_000) })).toMatch(/^[a-z2-7]{16}$/);
});
