import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to Redis on which is counted what goes over it. */
export interface CountingWay {
  readonly port: number;
  /** So far. `turns`: times that something was sent after an answer; what goes out together, pipelined, is one turn. */
  count(): { readonly turns: number; readonly commands: number };
  stop(): void;
}

// An array of bulk strings is how a command begins (RESP); JSON and URLs have no line breaks in which one could hide.
const COMMAND = /\*\d+\r\n\$/g;
const LONGEST_START = 12;

export async function openCountingWay(target: number): Promise<CountingWay> {
  let turns = 0;
  let commands = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const redis = connect(target, '127.0.0.1').setNoDelay();
    client.setNoDelay();
    let isAnswered = true;
    let tail = '';
    client.on('data', (chunk) => {
      if (isAnswered) turns++;
      isAnswered = false;
      const text = tail + chunk.toString('latin1');
      commands += countIn(text) - countIn(tail);
      tail = text.slice(-LONGEST_START);
      redis.write(chunk);
    });
    redis.on('data', (chunk) => {
      isAnswered = true;
      client.write(chunk);
    });
    for (const [one, other] of [[client, redis] as const, [redis, client] as const]) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    count: () => ({ turns, commands }),
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const countIn = (text: string): number => text.match(COMMAND)?.length ?? 0;
