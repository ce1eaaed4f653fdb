import type { PubSub } from '../../lib/pubsub.js';
import type { Xep } from '../router.js';
import { disco } from './disco.js';
import { mam } from './mam.js';
import { pending } from './pending.js';
import { ping } from './ping.js';
import { presence, type PresenceDeps } from './presence.js';
import { pubsubOwner } from './pubsub-owner.js';
import { pubsubPublish } from './pubsub-publish.js';
import { pubsub, type PubSubXepDeps } from './pubsub.js';
import { version } from './version.js';

export interface XepDeps extends PubSubXepDeps, Omit<PresenceDeps, 'caps'> {
  readonly service: PubSub;
  /** Bare JIDs. */
  readonly admins: readonly string[];
  /** Of Hydrant. */
  readonly version: string;
}

/** Everything this component can do. A new XEP is one file and one line here. */
export function xeps(deps: XepDeps) {
  const present = presence({ ...deps, caps: () => information.caps.element() });
  const others: readonly Xep[] = [
    ping(),
    version(deps.version),
    pubsub(deps),
    pubsubPublish(deps.service),
    pubsubOwner(deps),
    pending(deps),
    mam(deps),
    present,
  ];
  const information = disco(deps, others);
  return { all: [information, ...others], announce: present.announce, leave: present.leave };
}
