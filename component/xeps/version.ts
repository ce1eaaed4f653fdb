import xml from '@xmpp/xml';
import { get, type Xep } from '../router.js';
import { NS } from '../stanza.js';

/** XEP-0092: what software this is. The operating system is nobody's business. */
export const version = (number: string): Xep => ({
  features: [NS.version],
  routes: [
    get(NS.version, 'query', () =>
      xml('query', { xmlns: NS.version }, xml('name', {}, 'Hydrant'), xml('version', {}, number)),
    ),
  ],
});
