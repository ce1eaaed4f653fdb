import type { FeedUrl } from '../../lib/domain.js';
import type { FeedDraft } from '../drafts.js';
import { atom } from './atom.js';
import { hFeed } from './h-feed.js';
import { json } from './json.js';
import { rdf } from './rdf.js';
import { rss } from './rss.js';

/** A kind of feed that we read. */
export interface Format {
  readonly name: string;
  /** `root` is the local name of the outermost element, in lower case, and empty for what is no markup. */
  readonly detects: (root: string, text: string) => boolean;
  /** A page may name better feeds: it is read as one of its own only where it names none. */
  readonly isPage?: true;
  /** Any exception means that the document is not what it looked like; second-reader.ts may have another look. */
  readonly read: (text: string, url: FeedUrl) => FeedDraft;
}

/** Every kind of feed that we read. A new one is one file and one line here. */
export const FORMATS: readonly Format[] = [atom, rss, rdf, json, hFeed];
