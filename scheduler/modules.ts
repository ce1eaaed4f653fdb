import type { RssFeed } from 'feedsmith';
import type { CategoryDraft, LinkDraft, MediaDraft, PersonDraft, ReplyDraft, WhereDraft } from './drafts.js';

/*
 * What the modules of RSS and the extensions of Atom say, which is the same wherever they are used: as feedsmith reports
 * it in, in the words of a draft out.
 */

type RssItem = RssFeed.Item<string>;
/** What an entry, or a feed, may hold of them. */
type Modules = Pick<RssItem, 'thr' | 'georss' | 'geo' | 'cc' | 'creativeCommons'>;
type MediaRss = RssItem['media'];

/** Dublin Core and iTunes name people in one word. */
export const names = (found: readonly string[] | string | undefined): PersonDraft[] =>
  [found ?? []].flat().map((name) => ({ name }));

/** Subjects, keywords. */
export const terms = (found: readonly (string | undefined)[] = []): CategoryDraft[] => found.map((term) => ({ term }));

/** RFC 4946: licences are links. */
export const licences = ({ cc, creativeCommons }: Modules): LinkDraft[] =>
  [cc?.license, ...(creativeCommons?.licenses ?? [])].map((href) => ({ href, rel: 'license' }));

/** RFC 4685 3: what the entry answers to. */
export const repliesOf = ({ thr }: Modules): readonly ReplyDraft[] => thr?.inReplyTos ?? [];

/** GeoRSS, or the two numbers of the W3C; undefined without a point. */
export function placeOf({ georss, geo }: Modules): WhereDraft | undefined {
  const latitude = georss?.point?.lat ?? geo?.lat;
  const longitude = georss?.point?.lng ?? geo?.long;
  if (latitude === undefined || longitude === undefined) return undefined;
  return { latitude, longitude, name: georss?.featureName };
}

/** Media RSS on its first level, in its groups, and in what these hold. */
function partsOf(media: MediaRss) {
  const groups = media ? [media, ...(media.groups ?? [])] : [];
  return [...groups, ...groups.flatMap(({ contents = [] }) => contents)];
}

/** The first description. */
export const mediaSummary = (media: MediaRss) => partsOf(media).find(({ description }) => description)?.description;

/** Everybody who is credited. */
export const creditsOf = (media: MediaRss): PersonDraft[] =>
  partsOf(media).flatMap(({ credits = [] }) => credits.map(({ value }) => ({ name: value })));

/** media:category and media:keywords. */
export const mediaCategories = (media: MediaRss): CategoryDraft[] =>
  partsOf(media).flatMap(({ categories = [], keywords }) => [
    ...categories.map(({ name, scheme, label }) => ({ term: name, scheme, label })),
    ...terms(keywords),
  ]);

/** Seconds that the first recording takes which says so. */
export const mediaSeconds = (media: MediaRss): number | undefined =>
  [media, ...(media?.groups ?? [])]
    .flatMap((group) => group?.contents ?? [])
    .find(({ duration }) => duration !== undefined)?.duration;

/** Media RSS with more pictures, where there are any. */
export function withPictures(media: MediaRss, ...urls: readonly (string | undefined)[]): MediaDraft | undefined {
  const pictures = urls.flatMap((url) => (url ? [{ url }] : []));
  return pictures.length > 0 ? { ...media, thumbnails: [...(media?.thumbnails ?? []), ...pictures] } : media;
}

/** What Apple no longer reads, and many still write. */
interface OlderItunes {
  readonly summary?: string;
  readonly subtitle?: string;
  readonly keywords?: readonly string[];
}

/** What a podcast says of itself or an episode where there is no description. */
export const spokenOf = ({ summary, subtitle }: OlderItunes = {}): string | undefined => summary ?? subtitle;

/** itunes:keywords. */
export const keywordsOf = ({ keywords }: OlderItunes = {}): CategoryDraft[] => terms(keywords);
