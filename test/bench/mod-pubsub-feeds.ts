import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { NS } from '../../component/stanza.js';
import type { FeedUrl } from '../../lib/domain.js';
import { startProsody } from '../../prosody/servers.js';
import { askingComponent, type AskingComponent } from './asking-component.js';
import { cpuOf } from './cpu.js';
import { both, until, type Ground } from './ground.js';
import { ENTRIES } from './web-feeds.js';

const run = promisify(execFile);

const SERVICE = 'pubsub.localhost';
const TESTER = 'tester.localhost';
const INSTALLED = '/usr/lib/prosody/modules';
const MODULE = 'mod_pubsub_feeds';
const READ_SECONDS = 120;
const STILL_MS = 500;

/**
 * CPU seconds that Prosody's mod_pubsub_feeds takes to read all these feeds for the first time.
 * @param modules a folder with the module, which findModules() gives
 */
export async function firstReadByProsody(ground: Ground, modules: string, urls: readonly FeedUrl[]): Promise<number> {
  await ground.web.ask({ ask: 'restart', delayMs: 0 });
  const prosody = await startProsody({
    dir: join(ground.dir, 'prosody'),
    tester: true,
    more: configuration(modules, urls),
  });
  try {
    const tester = await askingComponent(prosody.componentPort, TESTER, prosody.testerSecret ?? '');
    try {
      const pid = prosody.pid ?? 0;
      const seen = async () => (await ground.web.ask({ ask: 'tell' })).requests;
      // The module waits for a second before it begins.
      const before = both(cpuOf(pid));
      if ((await seen()) > 0) throw new Error(`${MODULE} was faster than the bench`);
      await until(`${MODULE} asks for every feed`, READ_SECONDS, async () => (await seen()) >= urls.length);
      // Nothing tells when it has finished but that it has nothing to do any more; what it holds is checked after that.
      const used = await whenStill(() => both(cpuOf(pid)));
      await checkItems(tester, urls.length);
      return used - before;
    } finally {
      tester.close();
    }
  } finally {
    await prosody.stop();
  }
}

const nodeOf = (n: number): string => `feed-${n}`;

const configuration = (modules: string, urls: readonly FeedUrl[]): string => `
Host "*"
plugin_paths = { ${JSON.stringify(modules)} }
Component "${SERVICE}" "pubsub"
modules_enabled = { "pubsub_feeds" }
use_pubsubhubub = false
feeds = {
${urls.map((url, n) => `  ["${nodeOf(n)}"] = ${JSON.stringify(url)};`).join('\n')}
}`;

/** The value once it stays as it is. */
async function whenStill(read: () => number): Promise<number> {
  for (let last = read(); ;) {
    await sleep(STILL_MS);
    const next = read();
    if (next === last) return next;
    last = next;
  }
}

/** @throws Error when a node has not all of its items */
async function checkItems(tester: AskingComponent, nodes: number): Promise<void> {
  for (let n = 0; n < nodes; n++) {
    const child = `<pubsub xmlns='${NS.pubsub}'><items node='${nodeOf(n)}'/></pubsub>`;
    const answer = await tester.ask({ type: 'get', from: `reader@${TESTER}`, to: SERVICE, child });
    const items = answer.split('<item ').length - 1;
    if (items !== ENTRIES) throw new Error(`${MODULE} has ${items} items of feed ${n}`);
  }
}

/**
 * The folder with the module: installed, or unpacked from Debian's package prosody-modules into `dir`.
 * @throws Error when it is not to be had
 */
export async function findModules(dir: string): Promise<string> {
  if (existsSync(join(INSTALLED, MODULE))) return INSTALLED;
  console.log('  (prosody-modules is not installed: fetched by apt and unpacked into the folder of this run)');
  await mkdir(dir, { recursive: true });
  const download = () => run('apt-get', ['download', 'prosody-modules'], { cwd: dir });
  await download().catch(async () => {
    await run('apt-get', ['update']);
    await download();
  });
  const file = (await readdir(dir)).find((name) => name.endsWith('.deb')) ?? '';
  await run('dpkg-deb', ['--extract', file, '.'], { cwd: dir });
  return join(dir, INSTALLED);
}
