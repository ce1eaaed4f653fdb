import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { urlOf, VALIDATORS } from './web-feeds.js';

const AT_ONCE = 50;

/**
 * Answers per second that the web gives to sockets that parse nothing: what no reader can exceed.
 * @param kept whether connections are kept; otherwise there is one for each request, as pollers have them
 */
export async function webRate(port: number, kept: boolean, seconds: number): Promise<number> {
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1_000;
  let answers = 0;
  const lane = async (_: unknown, number: number) => {
    let socket: Socket | undefined;
    while (elapsed() < seconds) {
      socket ??= await open(port);
      socket.write(requestOf(number, port, kept));
      await once(socket, 'data');
      answers++;
      if (kept) continue;
      socket.destroy();
      socket = undefined;
    }
    socket?.destroy();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return answers / elapsed();
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setNoDelay();
  await once(socket, 'connect');
  return socket;
}

function requestOf(number: number, port: number, kept: boolean): string {
  const { pathname, host } = new URL(urlOf('quiet', number, port));
  const connection = kept ? 'keep-alive' : 'close';
  return `GET ${pathname} HTTP/1.1\r\nhost: ${host}\r\nif-none-match: ${VALIDATORS.etag}\r\nconnection: ${connection}\r\n\r\n`;
}
