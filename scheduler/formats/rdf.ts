import { parseRdfFeed, type RdfFeed } from 'feedsmith';
import { looseText, looseTitle, type EntryDraft } from '../drafts.js';
import { creditsOf, licences, mediaCategories, mediaSeconds, mediaSummary, names, placeOf, terms } from '../modules.js';
import { respell } from '../respell.js';
import type { Format } from './index.js';

/** RSS 0.90 and 1.0. Other RDF is none of ours. */
export const rdf: Format = {
  name: 'RSS 1.0',
  detects: (root, text) => root === 'rdf' && /purl\.org\/rss\/1\.0|netscape\.com\/rdf\/simple/i.test(text),
  read(text) {
    const { items = [], atom, dc, dcterms, sy, ...channel } = parseRdfFeed(respell(withoutContents(text)));
    return {
      id: atom?.id,
      title: looseTitle(channel.title ?? dc?.titles?.[0]),
      subtitle: looseText(channel.description ?? dc?.descriptions?.[0]),
      links: [{ href: channel.link }, ...(atom?.links ?? []), ...licences(channel)],
      authors: names(dc?.creators),
      contributors: names(dc?.contributors),
      categories: terms(dc?.subjects),
      updated: atom?.updated ?? dcterms?.modified?.[0] ?? dc?.dates?.[0],
      rights: looseText(dc?.rights?.[0]),
      logo: channel.image?.url,
      pace: sy,
      xml: { lang: dc?.languages?.[0] ?? channel.xml?.lang, base: channel.xml?.base },
      entries: items.map(readItem),
    };
  },
};

function readItem(item: RdfFeed.Item<string>): EntryDraft {
  const { atom, dc, dcterms, media } = item;
  const description = looseText(item.description ?? dc?.descriptions?.[0]);
  const encoded = item.content?.encoded === undefined ? undefined : { value: item.content.encoded, type: 'html' };
  return {
    id: item.rdf?.about ?? dc?.identifiers?.[0],
    title: looseTitle(item.title ?? dc?.titles?.[0]),
    content: encoded ?? description,
    summary: (encoded && description) ?? mediaSummary(media),
    links: [
      { href: item.link },
      ...(atom?.links ?? []),
      { href: item.wfw?.commentRss, rel: 'replies', type: 'application/rss+xml' },
      ...licences(item),
    ],
    authors: names(dc?.creators),
    contributors: [...names(dc?.contributors), ...creditsOf(media)],
    categories: [...terms(dc?.subjects), ...mediaCategories(media)],
    published: dc?.dates?.[0] ?? dcterms?.issued?.[0] ?? dcterms?.created?.[0],
    updated: atom?.updated ?? dcterms?.modified?.[0],
    rights: looseText(dc?.rights?.[0]),
    media,
    replies: item.slash?.comments,
    where: placeOf(item),
    duration: mediaSeconds(media),
    xml: { lang: dc?.languages?.[0] ?? item.xml?.lang, base: item.xml?.base },
  };
}

/**
 * feedsmith gives only what the table of contents (RSS 1.0 5.3.5) names, and looks through all items for each of it;
 * without one it gives every item.
 */
function withoutContents(text: string): string {
  const start = /<((?:[\w.-]{1,64}:)?items)[\s>]/i.exec(text);
  const end = start ? text.indexOf(`</${start[1] ?? ''}>`, start.index) : -1;
  return start && end >= 0 ? text.slice(0, start.index) + text.slice(text.indexOf('>', end) + 1) : text;
}
