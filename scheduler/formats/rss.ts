import { parseRssFeed, type RssFeed } from 'feedsmith';
import { looseText, looseTitle, type EntryDraft, type PersonDraft } from '../drafts.js';
import {
  creditsOf,
  keywordsOf,
  licences,
  mediaCategories,
  mediaSummary,
  mediaSeconds,
  names,
  placeOf,
  repliesOf,
  spokenOf,
  terms,
  withPictures,
} from '../modules.js';
import { respell } from '../respell.js';
import type { Format } from './index.js';

/** RSS 0.9x and 2.0 with the modules that say what Atom can say: Atom itself, Dublin Core, content, Media RSS, iTunes. */
export const rss: Format = {
  name: 'RSS',
  detects: (root) => root === 'rss',
  read(text) {
    const { items = [], ...channel } = parseRssFeed(respell(withoutEndlessNames(text)));
    const { atom, dc, dcterms, itunes, googleplay, sy } = channel;
    return {
      id: atom?.id,
      title: looseTitle(channel.title ?? dc?.titles?.[0] ?? itunes?.title),
      subtitle: looseText(channel.description ?? dc?.descriptions?.[0] ?? spokenOf(itunes) ?? googleplay?.description),
      links: [
        { href: channel.link },
        ...(atom?.links ?? []),
        // rssCloud over HTTP POST, as a link, because that is what it is used as.
        ...(channel.cloud?.protocol?.toLowerCase() === 'http-post'
          ? [{ rel: 'cloud', href: cloudUrl(channel.cloud) }]
          : []),
        ...licences(channel),
      ],
      authors: [
        ...persons(channel.managingEditor),
        ...names(dc?.creators),
        ...(atom?.authors ?? []),
        ...names(itunes?.author ?? googleplay?.author),
      ],
      contributors: [...names(dc?.contributors), ...(atom?.contributors ?? [])],
      categories: [
        ...categories(channel.categories),
        ...terms(dc?.subjects),
        ...terms(itunes?.categories?.flatMap(({ text, categories = [] }) => [text, ...categories.map((c) => c.text)])),
        ...(atom?.categories ?? []),
      ],
      updated: atom?.updated ?? channel.lastBuildDate ?? dcterms?.modified?.[0] ?? channel.pubDate ?? dc?.dates?.[0],
      rights: looseText(channel.copyright ?? dc?.rights?.[0] ?? dcterms?.rights?.[0]) ?? atom?.rights,
      icon: atom?.icon,
      logo: channel.image?.url ?? itunes?.image ?? googleplay?.image?.href ?? atom?.logo,
      generator: { text: channel.generator },
      pace: {
        ttl: channel.ttl,
        ...sy,
        skipHours: channel.skipHours ?? only(text, 'skipHours', 'hour').map(Number),
        skipDays: channel.skipDays ?? only(text, 'skipDays', 'day'),
      },
      xml: { lang: channel.language ?? dc?.languages?.[0] ?? channel.xml?.lang, base: channel.xml?.base },
      entries: items.map(readItem),
    };
  },
};

function readItem(item: RssFeed.Item<string>): EntryDraft {
  const { atom, dc, dcterms, guid, itunes, media } = item;
  const description = looseText(
    item.description ??
      dc?.descriptions?.[0] ??
      dcterms?.abstracts?.[0] ??
      spokenOf(itunes) ??
      item.googleplay?.description,
  );
  const encoded = item.content?.encoded === undefined ? atom?.content : { value: item.content.encoded, type: 'html' };
  const permalink = guid?.isPermaLink === false || !/^https?:/i.test(guid?.value ?? '') ? undefined : guid?.value;
  return {
    id: guid?.value ?? atom?.id ?? dc?.identifiers?.[0],
    title: looseTitle(item.title ?? dc?.titles?.[0] ?? itunes?.title) ?? atom?.title ?? media?.title,
    // A description on its own may be the whole text, and is given the room of one.
    content: encoded ?? description,
    summary: (encoded && description) ?? atom?.summary ?? mediaSummary(media),
    links: [
      { href: item.link ?? permalink },
      ...(atom?.links ?? []),
      ...(item.enclosures ?? []).map(({ url, type, length }) => ({ href: url, rel: 'enclosure', type, length })),
      // RFC 4685: the page and the feed of the comments.
      { href: item.comments, rel: 'replies', type: 'text/html' },
      { href: item.wfw?.commentRss, rel: 'replies', type: 'application/rss+xml' },
      ...licences(item),
    ],
    authors: [
      ...(item.authors ?? []).flatMap(persons),
      ...names(dc?.creators ?? dcterms?.creators),
      ...(atom?.authors ?? []),
      ...names(itunes?.author ?? item.googleplay?.author),
    ],
    contributors: [
      ...names(dc?.contributors ?? dcterms?.contributors),
      ...(atom?.contributors ?? []),
      ...creditsOf(media),
      ...(item.podcast?.persons ?? []).map(({ display, href }) => ({ name: display, uri: href })),
    ],
    categories: [
      ...categories(item.categories),
      ...terms(dc?.subjects ?? dcterms?.subjects),
      ...(atom?.categories ?? []),
      ...mediaCategories(media),
      ...keywordsOf(itunes),
    ],
    published: item.pubDate ?? dc?.dates?.[0] ?? dcterms?.issued?.[0] ?? dcterms?.created?.[0] ?? atom?.published,
    updated: atom?.updated ?? dcterms?.modified?.[0],
    rights: looseText(dc?.rights?.[0] ?? dcterms?.rights?.[0]) ?? atom?.rights,
    source: item.source
      ? { title: looseTitle(item.source.title), links: [{ href: item.source.url, rel: 'self' }] }
      : atom?.source,
    media: withPictures(media, itunes?.image, item.googleplay?.image?.href),
    inReplyTo: [...repliesOf(item), ...(item.sourceNs?.inReplyTo ? [{ ref: item.sourceNs.inReplyTo.value }] : [])],
    replies: item.thr?.total ?? item.slash?.comments,
    where: placeOf(item) ?? namedPlace(item.podcast?.locations?.[0]),
    duration: itunes?.duration ?? mediaSeconds(media),
    xml: { lang: dc?.languages?.[0] ?? item.xml?.lang, base: item.xml?.base },
  };
}

/** RFC 5870: a podcast gives its place a name and a geo URI. */
function namedPlace({ display, geo = '' }: { readonly display?: string; readonly geo?: string } = {}) {
  const [, latitude, longitude] = /^geo:(-?[\d.]+),(-?[\d.]+)/.exec(geo) ?? [];
  return latitude && longitude
    ? { latitude: Number(latitude), longitude: Number(longitude), name: display }
    : undefined;
}

/** feedsmith finds no element that is the only one in its list. */
function only(text: string, list: string, name: string): string[] {
  const inside = new RegExp(`<${list}\\b[^<>]*>\\s{0,99}<${name}>([^<]{0,99})</${name}>`, 'i').exec(text)?.[1];
  return inside === undefined ? [] : [inside];
}

const persons = (person: RssFeed.Person | undefined): PersonDraft[] =>
  person ? [{ name: person.name, email: person.email, uri: person.link }] : [];

const categories = (found: readonly RssFeed.Category[] = []) =>
  found.map(({ name, domain }) => ({ term: name, scheme: domain }));

/** https://www.rssboard.org/rsscloud-interface */
function cloudUrl({ domain, port, path }: RssFeed.Cloud): string {
  return `${port === 443 ? 'https' : 'http'}://${domain ?? ''}:${port ?? 80}${path?.startsWith('/') ? '' : '/'}${path ?? ''}`;
}

const MAX_NAME_CHARS = 512;

/**
 * feedsmith takes a person apart in time quadratic in the length (32 KB: 1.5 s). Nobody's name is that long, so that
 * what is longer is left out.
 */
function withoutEndlessNames(text: string): string {
  const person = /<((?:[\w.-]+:)?(?:author|managingeditor|webmaster))\b[^>]*>/gi;
  const kept: string[] = [];
  let end = 0;
  for (let match = person.exec(text); match; match = person.exec(text)) {
    const close = text.indexOf(`</${match[1] ?? ''}`, person.lastIndex);
    if (close < 0) break;
    if (close - person.lastIndex > MAX_NAME_CHARS) {
      kept.push(text.slice(end, person.lastIndex));
      end = close;
    }
    person.lastIndex = close;
  }
  return kept.join('') + text.slice(end);
}
