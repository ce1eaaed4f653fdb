import { feedIdOf, type Feed, type FeedId, type FeedUrl, type Reading } from '../lib/domain.js';
import type { DigestStore } from '../lib/store/digests.js';
import type { Log } from '../lib/store/log.js';
import type { NodeStore } from '../lib/store/nodes.js';
import type { SubscriptionStore } from '../lib/store/subscriptions.js';
import { addressesOf, adopt, changesOf, learn, type LearnDeps } from './learn.js';

export interface MoveDeps extends LearnDeps {
  readonly nodes: Pick<NodeStore, 'get' | 'affiliations' | 'delete'>;
  readonly subscriptions: Pick<SubscriptionStore, 'move' | 'copy' | 'ofFeed'>;
  readonly digests: Pick<DigestStore, 'held'>;
  readonly log: Pick<Log, 'partitionOf' | 'position' | 'read'>;
}

/** Where a feed is going. */
export interface Move {
  readonly to: FeedUrl;
  /** What is known of the feed there, from before the look. */
  readonly there: Feed | undefined;
}

type Fresh = Extract<Reading, { kind: 'fresh' }>;

// So many looks in a row, within a day, must be sent to the same place: redirects that call themselves permanent are often mistakes.
const LOOKS = 3;
const READ_RECORDS = 1_000;

/**
 * Where a feed goes if the next look is sent there once more. A node that somebody has configured, or on which somebody
 * has a role, stays where it is: who may do what there is not for the publisher of a feed to change.
 */
export async function moveOf(deps: MoveDeps, { id, moving }: Feed): Promise<Move | undefined> {
  if (!moving || moving.times < LOOKS - 1) return undefined;
  const { to } = moving;
  const arePlain = await Promise.all([id, feedIdOf(to)].map((node) => isPlain(deps, node)));
  return arePlain.every(Boolean) ? { to, there: await deps.feeds.get(feedIdOf(to)) } : undefined;
}

async function isPlain({ nodes }: MoveDeps, id: FeedId): Promise<boolean> {
  const [node, affiliations] = await Promise.all([nodes.get(id), nodes.affiliations(id)]);
  return affiliations.size === 0 && Object.keys(node?.config ?? {}).length === 0;
}

/**
 * Makes one of a feed and the feed at its new URL: the subscribers are given to that one, the node of this one goes. It
 * happens at a moment when both know the same and have told their subscribers all of it, and it is given up when one of
 * them learns something meanwhile, so that nobody misses an entry or gets it twice; the next look tries again, also after
 * a crash. ItemIDs are others from then on, because they are made of the feed's id.
 * @param before the feed as it was before the look
 * @param reading what the look has found there, which was no news
 */
export async function merge(deps: MoveDeps, before: Feed, { to, there }: Move, reading: Fresh): Promise<void> {
  const { feeds, subscriptions, aliases, nodes } = deps;
  const feed = await feeds.get(before.id);
  if (feed?.version !== before.version + 1) return;
  if (!there || !(await isUpToDate(deps, there, reading))) {
    const circumstances = { subscribers: 0, isScheduled: false };
    await (there ? learn(deps, there, reading, circumstances) : adopt(deps, to, reading));
    return;
  }
  if (!(await isAllTold(deps, feed.id)) || !(await isAllTold(deps, there.id))) return;
  if (await isDigestOpen(deps, feed.id)) return;
  await subscriptions.copy(feed.id, there.id);
  const [here, after] = await Promise.all([feeds.get(feed.id), feeds.get(there.id)]);
  if (here?.version !== feed.version || after?.version !== there.version) return;
  for (const address of addressesOf([feed.url], feed.source)) await aliases.add(address, there.id);
  await nodes.delete(feed.id, { announce: true, successor: { node: there.id } });
  deps.emit('notice', { text: `${feed.url} has moved to ${to}` });
}

/** Whether a feed knows all that a reading shows. */
async function isUpToDate(deps: MoveDeps, feed: Feed, { entries }: Fresh): Promise<boolean> {
  if (feed.read === undefined || feed.failures > 0) return false;
  return (await changesOf(deps, feed, entries, false)).changes.length === 0;
}

/** Whether everything that has happened to a node was delivered. */
async function isAllTold({ log }: MoveDeps, node: FeedId): Promise<boolean> {
  const partition = log.partitionOf(node);
  for (let after = await log.position(partition); ;) {
    const records = await log.read(partition, after, READ_RECORDS);
    const last = records.at(-1);
    if (!last) return true;
    if (records.some(({ feed }) => feed === node)) return false;
    after = last.id;
  }
}

/** Whether a digest still holds entries of this feed: it would not be sent any more. */
async function isDigestOpen({ subscriptions, digests }: MoveDeps, feed: FeedId): Promise<boolean> {
  for await (const page of subscriptions.ofFeed(feed)) {
    for (const one of page) if (one.options.digest && (await digests.held(one, 1)).length > 0) return true;
  }
  return false;
}
