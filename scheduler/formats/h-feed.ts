import { mf2 } from 'microformats-parser';
import { urlIn } from '../../lib/domain.js';
import type { EntryDraft, LinkDraft, PersonDraft, ReplyDraft, TextDraft, WhereDraft } from '../drafts.js';
import type { Format } from './index.js';

/**
 * A web page whose entries are marked up as such: an h-feed, or several h-entries with addresses (microformats2, and the
 * classic hfeed and hentry).
 */
export const hFeed: Format = {
  name: 'h-feed',
  isPage: true,
  detects: (root, text) =>
    ['', 'html', 'head', 'body'].includes(root) && text.length <= MAX_PAGE_CHARS && /\bh-?(?:feed|entry)\b/.test(text),
  read(text, url) {
    const base = urlIn(BASE.exec(text)?.[1] ?? '', url)?.href ?? url;
    const { items } = mf2(withoutTraps(text, base), { baseUrl: base, experimental: { lang: true } });
    const feed = everyItem(items).find(is('h-feed'));
    const entries = feed
      ? entriesOf(feed)
      : items.filter(is('h-entry')).filter((entry) => urls(entry, 'url').length > 0);
    if (entries.length < (feed ? 1 : 2)) throw new Error('No h-feed');
    const pageTitle = PAGE_TITLE.exec(text)?.[1];
    const [name] = feed ? texts(feed, 'name') : [];
    return {
      title: name === undefined ? { value: pageTitle, type: 'html' } : { value: name },
      subtitle: feed && { value: texts(feed, 'summary')[0] },
      links: [{ href: (feed && urls(feed, 'url')[0]) ?? url }],
      authors: feed && persons(feed),
      categories: feed && texts(feed, 'category').map((term) => ({ term })),
      logo: feed && urls(feed, 'photo')[0],
      xml: { lang: feed?.lang ?? entries[0]?.lang, base },
      entries: entries.map(readEntry),
    };
  },
};

type Item = ReturnType<typeof mf2>['items'][number];
type Property = Item['properties'][string][number];

function readEntry(entry: Item): EntryDraft {
  const [published] = texts(entry, 'published');
  const [updated] = texts(entry, 'updated');
  const [name] = texts(entry, 'name');
  const [content] = entry.properties['content'] ?? [];
  const page = urls(entry, 'url')[0];
  // A note has no title: where none is marked, its text stands there.
  const isTitle = name !== undefined && collapsed(name) !== collapsed(textOf(content) ?? '');
  return {
    id: urls(entry, 'uid')[0] ?? page,
    title: isTitle ? { value: name } : undefined,
    content: content === undefined ? undefined : contentOf(content),
    summary: { value: texts(entry, 'summary')[0] },
    links: [
      { href: page },
      ...RELATED.flatMap((property) => urls(entry, property)).map((href) => ({ href, rel: 'related' })),
      ...['photo', 'audio', 'video'].flatMap((property) => urls(entry, property)).map(enclosure),
    ],
    authors: persons(entry),
    categories: texts(entry, 'category').map((term) => ({ term })),
    published,
    updated,
    inReplyTo: urls(entry, 'in-reply-to').map((href): ReplyDraft => ({ ref: href, href })),
    where: whereOf(entry),
    media: { contents: urls(entry, 'featured').map((href) => ({ url: href, medium: 'image' })) },
    xml: { lang: entry.lang },
  };
}

/** Copies of an entry elsewhere, and what it is about. */
const RELATED = ['syndication', 'bookmark-of', 'like-of', 'repost-of'];

/** parse5 takes quadratic time for some pages, and a person writes no longer ones. */
const MAX_PAGE_CHARS = 2_097_152;
const BASE = /<base\s[^<>]{0,200}?\bhref\s*=\s*["']?([^"'\s<>]+)/i;
const PAGE_TITLE = /<title\b[^<>]{0,200}>([^<]{1,1000})/i;
const ADDRESS = /\b(?:href|src|data)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))/gi;

const is = (type: string) => (item: Item) => item.type?.includes(type) ?? false;

/** Items and what is nested in them, outer ones first. */
const everyItem = (items: readonly Item[]): Item[] =>
  items.flatMap((item) => [item, ...everyItem(item.children ?? [])]);

const entriesOf = (feed: Item): Item[] => [
  ...(feed.children ?? []).filter(is('h-entry')),
  ...(feed.properties['entry'] ?? []).filter((value) => typeof value === 'object' && 'properties' in value),
];

/** Without what the library throws for: a relative <base>, which is `base` already, and addresses that are none. */
function withoutTraps(html: string, base: string): string {
  return html.replace(/<base\b/gi, '<x').replace(ADDRESS, (whole: string, ...values: (string | undefined)[]) => {
    const value = values.slice(0, 3).find((found) => found !== undefined) ?? '';
    return urlIn(value, base) ? whole : `x-${whole}`;
  });
}

const textOf = (value: Property | undefined): string | undefined => {
  const text = typeof value === 'object' ? value.value : value;
  return typeof text === 'object' ? textOf(text) : text;
};

const texts = ({ properties }: Item, name: string): string[] =>
  (properties[name] ?? []).flatMap((value) => textOf(value)?.trim() || []);

/** Addresses; of a cited or nested item, its own. */
const urls = ({ properties }: Item, name: string): string[] =>
  (properties[name] ?? []).flatMap((value) => {
    if (typeof value === 'object' && 'properties' in value) return urls(value, 'url').slice(0, 1);
    return textOf(value)?.trim() || [];
  });

const contentOf = (content: Property): TextDraft =>
  typeof content === 'object' && 'html' in content
    ? { value: content.html, type: 'html', xml: { lang: content.lang } }
    : { value: textOf(content) };

const persons = ({ properties }: Item): PersonDraft[] =>
  (properties['author'] ?? []).map((author) => {
    if (typeof author === 'object' && 'properties' in author) {
      const [name] = texts(author, 'name');
      return { name, email: texts(author, 'email')[0], uri: urls(author, 'url')[0] };
    }
    const text = textOf(author)?.trim() ?? '';
    return /^https?:/i.test(text) ? { uri: text } : { name: text };
  });

const enclosure = (href: string): LinkDraft => ({ href, rel: 'enclosure' });

/** From the first of its places that has coordinates: an h-geo, h-adr or h-card, or a geo: URI (RFC 5870). */
function whereOf(entry: Item): WhereDraft | undefined {
  for (const place of [...(entry.properties['location'] ?? []), ...(entry.properties['geo'] ?? [])]) {
    if (typeof place === 'object' && 'properties' in place) {
      const own = [place, ...(place.properties['geo'] ?? [])].find(
        (one): one is Item => typeof one === 'object' && 'properties' in one && texts(one, 'latitude').length > 0,
      );
      if (!own) continue;
      const name = texts(place, 'name')[0] ?? texts(place, 'locality')[0];
      return { latitude: Number(texts(own, 'latitude')[0]), longitude: Number(texts(own, 'longitude')[0]), name };
    }
    const [, latitude, longitude] = GEO.exec(textOf(place) ?? '') ?? [];
    if (latitude && longitude) return { latitude: Number(latitude), longitude: Number(longitude) };
  }
  return undefined;
}

const GEO = /^geo:(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)/i;

const collapsed = (text: string): string => text.replace(/\s+/g, ' ').trim();
