import { parseAtomFeed } from 'feedsmith';
import type { Format } from './index.js';

/** RFC 4287, and Atom 0.3 under its words. */
export const atom: Format = {
  name: 'Atom',
  detects: (root) => root === 'feed',
  read(text) {
    const { entries = [], ...feed } = parseAtomFeed(text);
    return {
      ...feed,
      entries: entries.map(({ media, dc, ...entry }) => ({
        ...entry,
        // YouTube's entries have nothing but what Media RSS says of the video.
        summary: entry.summary ?? media?.description ?? media?.groups?.[0]?.description,
        authors: entry.authors ?? dc?.creators?.map((name) => ({ name })),
        media,
      })),
    };
  },
};
