import { parseRdfFeed } from 'feedsmith';
import { looseText, looseTitle } from '../drafts.js';
import type { Format } from './index.js';

/** RSS 0.90 and 1.0. Other RDF is none of ours. */
export const rdf: Format = {
  name: 'RSS 1.0',
  detects: (root, text) => root === 'rdf' && /purl\.org\/rss\/1\.0|netscape\.com\/rdf\/simple/i.test(text),
  read(text) {
    const { items = [], atom, dc, ...channel } = parseRdfFeed(text);
    return {
      id: atom?.id,
      title: looseTitle(channel.title),
      subtitle: looseText(channel.description ?? dc?.descriptions?.[0]),
      links: [{ href: channel.link }, ...(atom?.links ?? [])],
      authors: (dc?.creators ?? []).map((name) => ({ name })),
      categories: (dc?.subjects ?? []).map((term) => ({ term })),
      updated: dc?.dates?.[0],
      rights: looseText(dc?.rights?.[0]),
      logo: channel.image?.url,
      xml: { lang: dc?.languages?.[0] ?? channel.xml?.lang, base: channel.xml?.base },
      entries: items.map((item) => {
        const description = looseText(item.description ?? item.dc?.descriptions?.[0]);
        const encoded = item.content?.encoded === undefined ? undefined : { value: item.content.encoded, type: 'html' };
        return {
          id: item.rdf?.about,
          title: looseTitle(item.title ?? item.dc?.titles?.[0]),
          content: encoded ?? description,
          summary: encoded && description,
          links: [{ href: item.link }, ...(item.atom?.links ?? [])],
          authors: (item.dc?.creators ?? []).map((name) => ({ name })),
          contributors: (item.dc?.contributors ?? []).map((name) => ({ name })),
          categories: (item.dc?.subjects ?? []).map((term) => ({ term })),
          published: item.dc?.dates?.[0] ?? item.dcterms?.issued?.[0] ?? item.dcterms?.created?.[0],
          updated: item.atom?.updated ?? item.dcterms?.modified?.[0],
          rights: looseText(item.dc?.rights?.[0]),
          media: item.media,
          xml: { lang: item.dc?.languages?.[0] ?? item.xml?.lang, base: item.xml?.base },
        };
      }),
    };
  },
};
