import type { PubSub } from '../../lib/pubsub.js';
import type { Xep } from '../router.js';
import { disco } from './disco.js';
import { ping } from './ping.js';
import { pubsub, type PubSubXepDeps } from './pubsub.js';
import { version } from './version.js';

export interface XepDeps extends PubSubXepDeps {
  readonly service: PubSub;
  readonly domain: string;
  /** Of Hydrant. */
  readonly version: string;
}

/** Everything this component can do. A new XEP is one file and one line here. */
export function xeps(deps: XepDeps): Xep[] {
  const all = [ping(), version(deps.version), pubsub(deps)];
  return [disco(deps.service, deps.domain, all), ...all];
}
