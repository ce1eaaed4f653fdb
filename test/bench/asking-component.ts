import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

/** A request of ours, its child as XML text. */
export interface Question {
  readonly type: 'get' | 'set';
  readonly from: string;
  readonly to: string;
  readonly child: string;
}

/** A component that asks. It cuts the stream into answers and looks no further into them, so that it costs little. */
export interface AskingComponent {
  /** Resolves with the answer as it came; rejects when that is an error, or when the stream is gone. */
  ask(question: Question): Promise<string>;
  /** Whoever still waits is told so. */
  close(): void;
}

/** Connects by XEP-0114. It answers nothing, and reads away what is no answer. */
export async function askingComponent(port: number, domain: string, secret: string): Promise<AskingComponent> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay();
  await once(socket, 'connect');
  socket.write(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}'>`,
  );
  const [header] = (await once(socket, 'data')) as [string];
  const streamId = /id=['"]([^'"]+)/.exec(header)?.[1] ?? '';
  const digest = createHash('sha1')
    .update(streamId + secret)
    .digest('hex');
  socket.write(`<handshake>${digest}</handshake>`);
  const [welcome] = (await once(socket, 'data')) as [string];
  if (!welcome.includes('<handshake')) throw new Error(`no handshake: ${welcome}`);

  const waiting = new Map<string, { resolve: (answer: string) => void; reject: (error: Error) => void }>();
  let serial = 0;
  let unread = '';

  socket.on('data', (chunk: string) => {
    unread += chunk;
    let done = 0;
    // Servers write `<` and `>` as entities wherever they are text.
    for (;;) {
      const start = unread.indexOf('<iq ', done);
      // What may be the beginning of a tag waits for its rest.
      done = start < 0 ? Math.max(done, unread.length - 3) : start;
      const opened = start < 0 ? -1 : unread.indexOf('>', start);
      if (opened < 0) break;
      const closed = unread.charAt(opened - 1) === '/' ? opened + 1 : unread.indexOf('</iq>', opened) + 5;
      if (closed < opened) break;
      settle(unread.slice(start, closed), unread.slice(start, opened));
      done = closed;
    }
    unread = unread.slice(done);
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the stream is gone'));
    waiting.clear();
  });

  function settle(answer: string, tag: string): void {
    const id = / id=['"]([^'"]*)/.exec(tag)?.[1] ?? '';
    const asker = waiting.get(id);
    waiting.delete(id);
    if (/ type=['"]error/.test(tag)) asker?.reject(new Error(`refused: ${answer}`));
    else asker?.resolve(answer);
  }

  return {
    ask({ type, from, to, child }) {
      if (socket.destroyed) return Promise.reject(new Error('the stream is gone'));
      const id = `q${++serial}`;
      const answer = new Promise<string>((resolve, reject) => waiting.set(id, { resolve, reject }));
      socket.write(`<iq type='${type}' id='${id}' from='${from}' to='${to}'>${child}</iq>`);
      return answer;
    },
    close: () => socket.destroy(),
  };
}
