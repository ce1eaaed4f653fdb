import { createNodes, type NodesDeps } from './pubsub/nodes.js';
import { createOwner, type OwnerDeps } from './pubsub/owner.js';
import { createPublisher, type PublisherDeps } from './pubsub/publisher.js';
import { createReader, type ReaderDeps } from './pubsub/reader.js';
import { createSubscriber, type SubscriberDeps } from './pubsub/subscriber.js';

/** What the rules need of the rest: stores, a look at a URL, the clock and chance. */
export type PubSubDeps = NodesDeps &
  ReaderDeps &
  Omit<SubscriberDeps, 'latest'> &
  Omit<PublisherDeps, 'create'> &
  Omit<OwnerDeps, 'heldOn' | 'welcome'>;

/** XEP-0060 as our rules see it: no XML, no Redis, no sockets. Every method may refuse with a Fault. */
export type PubSub = ReturnType<typeof createPubSub>;

export function createPubSub(deps: PubSubDeps) {
  const known = createNodes(deps);
  const reader = createReader(known, deps);
  const subscriber = createSubscriber(known, { ...deps, latest: reader.latest });
  const owner = createOwner(known, { ...deps, heldOn: subscriber.heldOn, welcome: subscriber.welcome });
  const publisher = createPublisher(known, { ...deps, create: owner.create });
  const { node, isAdmin } = { node: known.byId, isAdmin: known.isAdmin };
  return { node, isAdmin, ...reader, ...subscriber, ...publisher, ...owner };
}
