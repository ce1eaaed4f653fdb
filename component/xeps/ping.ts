import { get, type Xep } from '../router.js';
import { NS } from '../stanza.js';

/** XEP-0199: an empty result is the whole answer. */
export const ping = (): Xep => ({
  features: [NS.ping],
  routes: [get(NS.ping, 'ping', () => undefined)],
});
