import { detectJsonFeed, parseJsonFeed, type JsonFeed } from 'feedsmith';
import type { PersonDraft } from '../drafts.js';
import type { Format } from './index.js';

/** JSON Feed 1.0 and 1.1 (jsonfeed.org). */
export const json: Format = {
  name: 'JSON Feed',
  // What calls itself one is one, if only half of it; that some do not say so is feedsmith's experience.
  detects: (root, text) => root === '' && (/^\s*\{[^{[]*jsonfeed\.org\/version/.test(text) || detectJsonFeed(text)),
  read(text) {
    const { items = [], ...feed } = parseJsonFeed(text);
    return {
      title: { value: feed.title },
      subtitle: { value: feed.description },
      links: [
        { href: feed.home_page_url, rel: 'alternate' },
        { href: feed.feed_url, rel: 'self' },
        // RFC 5005 3: where the older entries are.
        { href: feed.next_url, rel: 'next' },
        ...(feed.hubs ?? []).flatMap(({ type, url }) => {
          const rel = HUB_RELS.get(type?.toLowerCase() ?? '');
          return rel ? [{ href: url, rel }] : [];
        }),
      ],
      authors: persons(feed.authors),
      icon: feed.favicon,
      logo: feed.icon,
      xml: { lang: feed.language },
      entries: items.map((item) => ({
        id: item.id,
        title: { value: item.title },
        summary: { value: item.summary },
        content:
          item.content_html === undefined ? { value: item.content_text } : { value: item.content_html, type: 'html' },
        links: [
          { href: item.url, rel: 'alternate' },
          { href: item.external_url, rel: 'related' },
          ...(item.attachments ?? []).map(({ url, mime_type, title, size_in_bytes }) => ({
            href: url,
            rel: 'enclosure',
            type: mime_type,
            title,
            length: size_in_bytes,
          })),
        ],
        authors: persons(item.authors),
        categories: (item.tags ?? []).map((term) => ({ term })),
        published: item.date_published,
        updated: item.date_modified,
        duration: item.attachments?.find(({ duration_in_seconds }) => duration_in_seconds)?.duration_in_seconds,
        media: { contents: [item.image, item.banner_image].map((url) => ({ url, medium: 'image' })) },
        xml: { lang: item.language },
      })),
    };
  },
};

/** The ways of being pushed that there is a link for. */
const HUB_RELS: ReadonlyMap<string, string> = new Map([
  ['websub', 'hub'],
  ['rsscloud', 'cloud'],
]);

const persons = (authors: readonly JsonFeed.Author[] = []): PersonDraft[] =>
  authors.map(({ name, url }) => ({ name, uri: url }));
