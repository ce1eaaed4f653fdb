/**
 * What must be there before Hydrant can run: npm packages, prosody, redis-server, and the build in dist/.
 * Installs what is missing, having said so first. It runs before anything is installed, so it needs Node alone.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE = '20.20';
const SERVERS = ['prosody', 'redis-server'];
const SOURCES = [
  'component',
  'scheduler',
  'lib',
  'prosody',
  'test/bench',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
];
const STAMP = 'dist/.built';

/**
 * Run by root. Debian's packages start their services on installation and at every boot. Hydrant runs private servers,
 * and a stranger's machine keeps its ports 5222 and 6379 to itself: so neither happens. A policy-rc.d that is already
 * there stays in force; ours knows two names only, in case a power cut leaves it behind.
 */
const INSTALL = `
  set -e
  export DEBIAN_FRONTEND=noninteractive
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '%s\\n' '#!/bin/sh' '# Left behind by an interrupted installation of Hydrant: may be deleted.' \\
      'case "$1" in prosody*|redis-server*) exit 101 ;; esac' > "$policy"
    chmod 755 "$policy"
  fi
  for package in "$@"; do
    apt-cache show "$package" > /dev/null 2>&1 || { apt-get update; break; }
  done
  install() { apt-get -o DPkg::Lock::Timeout=180 install --yes --no-install-recommends "$@"; }
  install "$@" || { apt-get update; install "$@"; }
  for package in "$@"; do
    update-rc.d "$package" disable
    [ ! -d /run/systemd/system ] || systemctl stop "$package"
  done`;

/** Decides what to do, and says it in the user's words; a problem means that nothing will be done. */
export function plan({ node, platform, apt, privilege, missing, packagesDiffer, buildIsOld }) {
  if (older(node, NODE)) {
    return { problem: `Hydrant needs Node ${NODE} or newer; this is ${node}. See https://nodejs.org/`, steps: [] };
  }
  const steps = [];
  if (missing.length > 0) {
    const names = missing.join(' and ');
    if (platform === 'darwin') {
      const formulas = missing.map((name) => (name === 'prosody' ? 'prosody/prosody/prosody' : 'redis'));
      return { problem: `${names} missing. Please run:\n\n  brew install ${formulas.join(' ')}`, steps };
    }
    if (!apt) return { problem: `${names} missing. Please install them with your package manager.`, steps };
    if (privilege === 'none') {
      const command = `apt-get install --no-install-recommends ${missing.join(' ')}`;
      return {
        problem: `${names} missing, and only root may install them. Please run as root:\n\n  ${command}`,
        steps,
      };
    }
    steps.push({ id: 'apt', title: names, note: 'by apt; no system service is started or enabled' });
  }
  if (packagesDiffer) steps.push({ id: 'npm', title: 'npm packages', note: 'into node_modules/, by npm ci' });
  if (packagesDiffer || buildIsOld) steps.push({ id: 'build', title: 'the build', note: 'into dist/, by tsc' });
  return { steps };
}

/** Whether node_modules holds something else than package-lock.json asks for; both are lock files, parsed. */
export function locksDiffer(wanted, installed) {
  const { packages: have = {} } = installed ?? {};
  const { '': _, ...want } = wanted.packages;
  const differs = Object.entries(want).some(([path, { version, integrity, optional, devOptional }]) => {
    const there = have[path];
    // Optional packages are for other platforms as well.
    if (!there) return !optional && !devOptional;
    return there.version !== version || there.integrity !== integrity;
  });
  return !installed || differs || Object.keys(have).some((path) => !(path in want));
}

function older(version, least) {
  const [major, minor] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = least.split('.').map(Number);
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

function readJson(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

function installed(command) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** 'root', 'sudo', 'password' (sudo will ask for one) or 'none'. */
function privilege() {
  if (process.getuid?.() === 0) return 'root';
  if (!installed('sudo')) return 'none';
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return 'sudo';
  return process.stdin.isTTY ? 'password' : 'none';
}

/** Folders count as well: their time is that of the last file that came or went. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function facts() {
  const missing = SERVERS.filter((name) => !installed(name));
  return {
    node: process.versions.node,
    platform: process.platform,
    apt: installed('apt-get'),
    privilege: missing.length > 0 ? privilege() : 'none',
    missing,
    packagesDiffer: locksDiffer(readJson('package-lock.json'), readJson('node_modules/.package-lock.json')),
    buildIsOld: !existsSync(STAMP) || Math.max(...SOURCES.map(newest)) > statSync(STAMP).mtimeMs,
  };
}

/** Runs a command with a sign of life, and with its output only if it fails. */
async function run(title, command, args) {
  const started = Date.now();
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
  const output = [];
  const live = process.stdout.isTTY;
  const tick = setInterval(
    () => process.stdout.write(live ? `\r\x1b[K  … ${title} ${seconds()}` : `  … ${title} ${seconds()}\n`),
    live ? 1000 : 15_000,
  );
  if (live) process.stdout.write(`  … ${title}`);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (data) => output.push(data));
  child.stderr.on('data', (data) => output.push(data));
  const code = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  clearInterval(tick);
  if (live) process.stdout.write('\r\x1b[K');
  if (code === 0) return void console.log(`  ✓ ${title}  ${seconds()}`);
  // npm gives its reason first and much help after it, apt gives its reason last.
  const said = Buffer.concat(output).toString().trimEnd().split('\n');
  console.log((said.length > 60 ? [...said.slice(0, 30), '…', ...said.slice(-30)] : said).join('\n'));
  throw new Error(`${title} failed (${code}): ${[command, ...args].join(' ').split('\n')[0].trim()}`);
}

const DO = {
  async apt({ missing, privilege: how }, title) {
    // Asked for here, while the terminal is still the user's alone.
    if (how === 'password' && spawnSync('sudo', ['-v'], { stdio: 'inherit' }).status !== 0) {
      throw new Error('sudo was refused');
    }
    const shell = ['sh', '-c', INSTALL, 'sh', ...missing];
    if (how !== 'root') shell.unshift('sudo', '-n');
    await run(title, shell[0], shell.slice(1));
    const still = missing.filter((name) => !installed(name));
    if (still.length > 0) throw new Error(`installed, but not found in PATH: ${still.join(' and ')}`);
  },
  npm: (_, title) => run(title, 'npm', ['ci', '--include=dev', '--no-audit', '--no-fund']),
  async build(_, title) {
    // The time before the build: what is saved while the compiler runs is newer.
    const now = new Date();
    const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'];
    await run(title, process.execPath, [...tsc, '--incremental', '--tsBuildInfoFile', 'dist/.tsbuildinfo']);
    mkdirSync(dirname(STAMP), { recursive: true });
    writeFileSync(STAMP, '');
    utimesSync(STAMP, now, now);
  },
};

async function main() {
  process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'));
  const found = facts();
  const { problem, steps } = plan(found);
  if (problem) throw new Error(problem);
  if (steps.length === 0) return;
  console.log('To be installed or made first:');
  for (const { title, note } of steps) console.log(`  ${title.padEnd(24)} ${note}`);
  console.log();
  for (const { id, title } of steps) await DO[id](found, title);
  console.log();
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
