import { parseAtomFeed, type AtomFeed } from 'feedsmith';
import { looseText, type EntryDraft } from '../drafts.js';
import {
  creditsOf,
  licences,
  mediaCategories,
  mediaSeconds,
  mediaSummary,
  names,
  placeOf,
  repliesOf,
  terms,
  withPictures,
} from '../modules.js';
import { respellAtom } from '../respell.js';
import type { Format } from './index.js';

/** RFC 4287, and Atom 0.3 under its words. */
export const atom: Format = {
  name: 'Atom',
  detects: (root) => root === 'feed',
  read(text) {
    const { entries = [], dc, itunes, sy, ...feed } = parseAtomFeed(respellAtom(text));
    return {
      ...feed,
      links: [...(feed.links ?? []), ...licences(feed)],
      authors: feed.authors ?? names(dc?.creators ?? itunes?.author),
      categories: feed.categories ?? terms(dc?.subjects),
      rights: feed.rights ?? looseText(dc?.rights?.[0]),
      logo: feed.logo ?? itunes?.image,
      pace: sy,
      xml: { lang: feed.xml?.lang ?? dc?.languages?.[0], base: feed.xml?.base },
      entries: entries.map(readEntry),
    };
  },
};

function readEntry({ media, dc, itunes, ...entry }: AtomFeed.Entry<string>): EntryDraft {
  const links = entry.links ?? [];
  const counted = links.flatMap(({ thr }) => thr?.count ?? []);
  return {
    ...entry,
    // YouTube's entries have nothing but what Media RSS says of the video.
    summary: entry.summary ?? looseText(dc?.descriptions?.[0]) ?? mediaSummary(media),
    links: [...links, { href: entry.wfw?.commentRss, rel: 'replies', type: 'application/rss+xml' }, ...licences(entry)],
    authors: entry.authors ?? names(dc?.creators ?? itunes?.author),
    contributors: [...(entry.contributors ?? []), ...names(dc?.contributors), ...creditsOf(media)],
    categories: [...(entry.categories ?? []), ...terms(dc?.subjects), ...mediaCategories(media)],
    published: entry.published ?? dc?.dates?.[0],
    rights: entry.rights ?? looseText(dc?.rights?.[0]),
    media: withPictures(media, itunes?.image),
    inReplyTo: repliesOf(entry),
    replies: entry.thr?.total ?? entry.slash?.comments ?? (counted.length > 0 ? Math.max(...counted) : undefined),
    where: placeOf(entry),
    duration: itunes?.duration ?? mediaSeconds(media),
    xml: { lang: entry.xml?.lang ?? dc?.languages?.[0], base: entry.xml?.base },
  };
}
