import Parser from 'rss-parser';
import { looseText, looseTitle, type EntryDraft, type FeedDraft } from './drafts.js';

/**
 * rss-parser's reading of RSS or Atom, for documents that feedsmith refuses or finds nothing in. It knows less: no
 * updated beside published, one author, one link.
 * @throws for what is not well-formed, or no feed.
 */
export async function readAgain(text: string): Promise<FeedDraft> {
  // A parser that has seen one malformed document takes the next one without complaint.
  const feed = await new Parser<object, Readonly<Record<string, unknown>>>().parseString(text);
  return {
    title: looseTitle(feed.title),
    subtitle: looseText(feed.description),
    links: [{ href: feed.link }, { href: feed.feedUrl, rel: 'self' }],
    logo: feed.image?.url,
    entries: feed.items.filter((item) => Object.values(item).some((value) => value !== undefined)).map(readItem),
  };
}

function readItem(item: Readonly<Record<string, unknown>>): EntryDraft {
  const field = (name: string) => (typeof item[name] === 'string' ? item[name] : undefined);
  const encoded = field('content:encoded');
  const description = looseText(field('summary') ?? field('content'));
  const { enclosure, categories } = item;
  return {
    id: field('guid') ?? field('id'),
    title: looseTitle(field('title')),
    content: encoded === undefined ? looseText(field('content')) : { value: encoded, type: 'html' },
    summary: encoded === undefined ? looseText(field('summary')) : description,
    links: [{ href: field('link') }, ...(isEnclosure(enclosure) ? [readEnclosure(enclosure)] : [])],
    authors: [{ name: field('creator') ?? field('author') }],
    categories: (Array.isArray(categories) ? categories : []).map((term: unknown) => ({
      term: typeof term === 'string' ? term : undefined,
    })),
    published: field('isoDate') ?? field('pubDate'),
  };
}

const isEnclosure = (value: unknown): value is Parser.Enclosure =>
  typeof value === 'object' && value !== null && 'url' in value;

const readEnclosure = ({ url, type, length }: Parser.Enclosure) => ({
  href: url,
  rel: 'enclosure',
  type,
  length: Number(length),
});
