import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, normalize } from 'node:path/posix';
import ts from 'typescript';
import { describe, expect, it } from '@jest/globals';

/** Who may import whom. The two processes meet only in lib/; prosody/ is a program beside them. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  lib: ['lib'],
  component: ['component', 'lib'],
  scheduler: ['scheduler', 'lib'],
  prosody: ['prosody'],
};

/** Libraries that must not leak: each is known to the files that wrap it and to nobody else. */
const WRAPPED: Readonly<Record<string, RegExp>> = {
  '@xmpp/component': /^component\/connection\.ts$/,
  '@xmpp/client': /^prosody\//,
  '@xmpp/xml': /^(component|prosody)\//,
  '@xmpp/jid': /^(lib\/domain|component\/connection)\.ts$/,
  bullmq: /^lib\/queues\.ts$/,
  ioredis: /^lib\/redis\.ts$/,
  got: /^scheduler\/fetch\.ts$/,
  piscina: /^scheduler\/parse\.ts$/,
  'sanitize-html': /^scheduler\/sanitise\.ts$/,
  'robots-parser': /^scheduler\/robots\.ts$/,
  'microformats-parser': /^scheduler\/formats\/h-feed\.ts$/,
  'image-size': /^scheduler\/picture\.ts$/,
  feedsmith: /^scheduler\//,
  'rss-parser': /^scheduler\//,
  fastify: /^scheduler\/intake\.ts$/,
  htmlparser2: /^(lib\/text|scheduler\/discover)\.ts$/,
  pino: /^lib\/log\.ts$/,
  'prom-client': /^lib\/metrics\.ts$/,
  zod: /^lib\/config\.ts$/,
};

/** Folders that are tables: one file and one line in index.ts each, so that none knows another. */
const TABLES = ['component/xeps', 'scheduler/formats', 'scheduler/pings'];

// Settings are read once per process, by its composition root.
const MAY_READ_ENVIRONMENT = /^((component|scheduler)\/main\.ts|prosody\/.*)$/;

/** What a file does that its place does not allow, a sentence each. */
function violations(file: string, text: string): string[] {
  const folder = file.split('/')[0] ?? '';
  const { importedFiles } = ts.preProcessFile(text);
  const found = importedFiles.flatMap(({ fileName: name }) => {
    if (!name.startsWith('.')) return (WRAPPED[packageOf(name)] ?? /./).test(file) ? [] : [`imports ${name}`];
    const target = normalize(`${dirname(file)}/${name}`).replace(/\.js$/, '.ts');
    const isAllowed =
      (FOLDERS[folder] ?? []).includes(target.split('/')[0] ?? '') &&
      basename(target) !== 'main.ts' &&
      !isSibling(file, target);
    return isAllowed ? [] : [`imports ${target}`];
  });
  if (readsEnvironment(file, text) && !MAY_READ_ENVIRONMENT.test(file)) found.push('reads the environment');
  return found;
}

const packageOf = (name: string): string => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name;

/** Two entries of one table; the table itself knows all of them, and may tell them what an entry is. */
const isSibling = (file: string, target: string): boolean =>
  TABLES.includes(dirname(file)) &&
  dirname(target) === dirname(file) &&
  ![file, target].some((one) => one.endsWith('/index.ts'));

/** Whether the code, not a comment or a text, says `env` of anything that is called process. */
function readsEnvironment(file: string, text: string): boolean {
  const visit = (node: ts.Node): boolean =>
    (ts.isPropertyAccessExpression(node) && node.name.text === 'env' && node.expression.getText() === 'process') ||
    (ts.isElementAccessExpression(node) && node.expression.getText() === 'process') ||
    (ts.isVariableDeclaration(node) && node.initializer?.getText() === 'process') ||
    (ts.isImportDeclaration(node) && /^.(node:)?process.$/.test(node.moduleSpecifier.getText())) ||
    (ts.forEachChild(node, (child) => visit(child) || undefined) ?? false);
  return visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true));
}

const files = Object.keys(FOLDERS)
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => `${folder}/${String(name)}`))
  .filter((name) => /\.[cm]?[jt]s$/.test(name) && !name.endsWith('.d.ts'));

it('looks at every folder', () => {
  for (const file of ['component/router.ts', 'component/xeps/index.ts', 'scheduler/poll.ts', 'lib/store/feeds.ts']) {
    expect(files).toContain(file);
  }
});

it.each(files)('%s does only what its place allows', (file) => {
  expect(violations(file, readFileSync(file, 'utf8'))).toEqual([]);
});

describe('the rules notice', () => {
  it.each([
    ['component/router.ts', "import { poll } from '../scheduler/poll.js';", 'imports scheduler/poll.ts'],
    ['scheduler/tick.ts', "import type { Route } from '../component/router.js';", 'imports component/router.ts'],
    ['lib/pubsub.ts', "import { NS } from '../component/stanza.js';", 'imports component/stanza.ts'],
    ['lib/store/feeds.ts', "export * from '../../scheduler/poll.js';", 'imports scheduler/poll.ts'],
    ['component/router.ts', "const later = await import('../prosody/servers.js');", 'imports prosody/servers.ts'],
    ['prosody/up.ts', "import { loadConfig } from '../lib/config.js';", 'imports lib/config.ts'],
    ['lib/pubsub.ts', "import { memoryStores } from '../test/support/memory.js';", 'imports test/support/memory.ts'],
    ['component/router.ts', "import './main.js';", 'imports component/main.ts'],
    ['component/xeps/disco.ts', "import { ping } from './ping.js';", 'imports component/xeps/ping.ts'],
    ['scheduler/pings/rest.ts', "import { a } from '../pings/xmlrpc.js';", 'imports scheduler/pings/xmlrpc.ts'],
    ['scheduler/formats/rss.ts', "import { a } from './atom.js';", 'imports scheduler/formats/atom.ts'],
    ['component/router.ts', "import { component } from '@xmpp/component';", 'imports @xmpp/component'],
    ['lib/pubsub.ts', "import xml from '@xmpp/xml';", 'imports @xmpp/xml'],
    ['lib/pubsub.ts', "import { jid } from '@xmpp/jid/lib/JID.js';", 'imports @xmpp/jid/lib/JID.js'],
    ['lib/store/feeds.ts', "import { Redis } from 'ioredis';", 'imports ioredis'],
    ['scheduler/tick.ts', "import { Queue } from 'bullmq';", 'imports bullmq'],
    ['scheduler/poll.ts', "import got from 'got';", 'imports got'],
    ['scheduler/fetch.ts', "import { imageSize } from 'image-size';", 'imports image-size'],
    ['lib/text.ts', "import { parseFeed } from 'feedsmith';", 'imports feedsmith'],
    ['component/main.ts', "import Fastify from 'fastify';", 'imports fastify'],
    ['scheduler/main.ts', "import { pino } from 'pino';", 'imports pino'],
    ['scheduler/main.ts', "import { Counter } from 'prom-client';", 'imports prom-client'],
    ['lib/queues.ts', "import { z } from 'zod';", 'imports zod'],
    ['lib/config.ts', 'export const port = process.env.PORT;', 'reads the environment'],
    ['lib/config.ts', "export const port = process['env'].PORT;", 'reads the environment'],
    ['lib/config.ts', 'const { env } = process;', 'reads the environment'],
    ['lib/config.ts', "import { env } from 'node:process';", 'reads the environment'],
  ])('that %s has %s', (file, text, violation) => {
    expect(violations(file, text)).toEqual([violation]);
  });

  it.each([
    ['component/xeps/index.ts', "import { ping } from './ping.js';"],
    ['scheduler/pings/rest.ts', "import type { PingProtocol } from './index.js';"],
    ['component/xeps/ping.ts', "import { get } from '../router.js';"],
    ['lib/store/feeds.ts', "import type { RedisClient } from '../redis.js';"],
    ['scheduler/main.ts', 'await runProcess(process.env);'],
    ['lib/process.ts', "// process.env is read elsewhere\nprocess.once('SIGTERM', stop);"],
    ['component/main.ts', "import { loadConfig } from '../lib/config.js';"],
  ])('nothing wrong when %s has %s', (file, text) => {
    expect(violations(file, text)).toEqual([]);
  });
});
