import { Fault } from '../../lib/faults.js';
import type { PingProtocol } from './index.js';

/** The plainest ping: a form with one or more `url`. */
export const rest: PingProtocol = {
  method: 'POST',
  path: '/ping',
  read(body) {
    const urls = new URLSearchParams(body).getAll('url').filter(Boolean);
    if (urls.length === 0) throw new Fault('bad-request', 'Say which page or feed changed: url=https://…');
    return urls;
  },
  reply: (refusal) => ({
    status: refusal === undefined ? 200 : 400,
    type: 'text/plain; charset=utf-8',
    body: `${refusal ?? 'Thanks for the ping.'}\n`,
  }),
};
