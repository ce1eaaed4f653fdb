import { parseRssFeed, type RssFeed } from 'feedsmith';
import { looseText, looseTitle, type EntryDraft, type PersonDraft } from '../drafts.js';
import type { Format } from './index.js';

/** RSS 0.9x and 2.0 with the modules that say what Atom can say: Atom itself, Dublin Core, content, Media RSS, iTunes. */
export const rss: Format = {
  name: 'RSS',
  detects: (root) => root === 'rss',
  read(text) {
    const { items = [], ...channel } = parseRssFeed(withoutEndlessNames(text));
    const { atom, dc, itunes } = channel;
    return {
      id: atom?.id,
      title: looseTitle(channel.title ?? dc?.titles?.[0]),
      subtitle: looseText(channel.description ?? dc?.descriptions?.[0]),
      links: [
        { href: channel.link },
        ...(atom?.links ?? []),
        // rssCloud over HTTP POST, as a link, because that is what it is used as.
        ...(channel.cloud?.protocol?.toLowerCase() === 'http-post'
          ? [{ rel: 'cloud', href: cloudUrl(channel.cloud) }]
          : []),
      ],
      authors: [
        ...persons(channel.managingEditor),
        ...names(dc?.creators),
        ...(atom?.authors ?? []),
        ...names(itunes?.author),
      ],
      categories: [
        ...categories(channel.categories),
        ...terms(dc?.subjects),
        ...terms(itunes?.categories?.map((c) => c.text)),
      ],
      updated: atom?.updated ?? channel.lastBuildDate ?? channel.pubDate ?? dc?.dates?.[0],
      rights: looseText(channel.copyright ?? dc?.rights?.[0]),
      icon: atom?.icon,
      logo: channel.image?.url ?? itunes?.image ?? atom?.logo,
      generator: { text: channel.generator },
      xml: { lang: channel.language ?? dc?.languages?.[0] ?? channel.xml?.lang, base: channel.xml?.base },
      entries: items.map(readItem),
    };
  },
};

function readItem(item: RssFeed.Item<string>): EntryDraft {
  const { atom, dc, dcterms, guid, itunes, media } = item;
  const description = looseText(item.description ?? dc?.descriptions?.[0]);
  const encoded = item.content?.encoded === undefined ? atom?.content : { value: item.content.encoded, type: 'html' };
  const permalink = guid?.isPermaLink === false || !/^https?:/i.test(guid?.value ?? '') ? undefined : guid?.value;
  return {
    id: guid?.value ?? atom?.id,
    title: looseTitle(item.title ?? dc?.titles?.[0] ?? itunes?.title) ?? atom?.title,
    // A description on its own may be the whole text, and is given the room of one.
    content: encoded ?? description,
    summary: (encoded && description) ?? atom?.summary ?? media?.description ?? media?.groups?.[0]?.description,
    links: [
      { href: item.link ?? permalink },
      ...(atom?.links ?? []),
      ...(item.enclosures ?? []).map(({ url, type, length }) => ({ href: url, rel: 'enclosure', type, length })),
      // RFC 4685: the page and the feed of the comments.
      { href: item.comments, rel: 'replies', type: 'text/html' },
      { href: item.wfw?.commentRss, rel: 'replies', type: 'application/rss+xml' },
    ],
    authors: [
      ...(item.authors ?? []).flatMap(persons),
      ...names(dc?.creators),
      ...(atom?.authors ?? []),
      ...names(itunes?.author),
    ],
    contributors: [...names(dc?.contributors), ...(atom?.contributors ?? [])],
    categories: [...categories(item.categories), ...terms(dc?.subjects), ...(atom?.categories ?? [])],
    published: item.pubDate ?? dc?.dates?.[0] ?? dcterms?.issued?.[0] ?? dcterms?.created?.[0] ?? atom?.published,
    updated: atom?.updated ?? dcterms?.modified?.[0],
    rights: looseText(dc?.rights?.[0]) ?? atom?.rights,
    source: item.source && { title: looseTitle(item.source.title), links: [{ href: item.source.url, rel: 'self' }] },
    media: { ...media, thumbnails: [...(media?.thumbnails ?? []), { url: itunes?.image }] },
    xml: { lang: dc?.languages?.[0] ?? item.xml?.lang, base: item.xml?.base },
  };
}

const names = (found: readonly string[] | string | undefined): PersonDraft[] =>
  [found ?? []].flat().map((name) => ({ name }));

const persons = (person: RssFeed.Person | undefined): PersonDraft[] =>
  person ? [{ name: person.name, email: person.email, uri: person.link }] : [];

const terms = (found: readonly (string | undefined)[] = []) => found.map((term) => ({ term }));

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
