import { Resolver, lookup as systemLookup } from 'node:dns/promises';
import http from 'node:http';
import https from 'node:https';
import { isIP, Socket, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

/** A connection that was refused before it was made: the address is private, or the port is none of the web's. */
export class BlockedAddress extends Error {
  override readonly name = 'BlockedAddress';
  readonly code = 'EBLOCKED';
}

/** A host name without addresses. */
export class UnknownHost extends Error {
  override readonly name = 'UnknownHost';
  readonly code = 'ENOTFOUND';
}

/** A host name of which nobody could say whether it has addresses. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly code = 'EAI_AGAIN';
}

/**
 * All addresses of a host name, in the order in which they are to be tried.
 * @throws NoAnswer where that may change at once, UnknownHost where there are none
 */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

export interface GuardOptions {
  /** CIDRs that may be connected to, on any port, although they are private: FETCH_ALLOW. */
  readonly allow?: readonly string[];
  /** Replaces DNS. What it answers is checked like any other answer. */
  readonly resolve?: Resolve;
  /** Replaces the authorities whose certificates are believed: PEM. */
  readonly ca?: string;
}

export interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

export interface GuardedAgents extends Agents {
  /** The same without connections that were used before, and may have been closed meanwhile. */
  readonly fresh: Agents;
}

/**
 * Agents that connect to the public web and to nothing else, whatever a URL, a redirect or the DNS says: public
 * addresses on ports 80, 443, 8080 and 8443, and what `allow` names. Other ports are closed above 1024 too, where
 * databases and consoles listen.
 *
 * A literal address is checked before the connection, a name's addresses between the lookup and the connection. There is
 * no second lookup that could answer differently (DNS rebinding), and every redirect comes through here again.
 *
 * A connection to a host that was connected to a minute ago is kept for a few seconds: it has several feeds. One that is
 * used again leads where it was checked to lead.
 */
export function createGuardedAgents({ allow = [], resolve, ca }: GuardOptions = {}): GuardedAgents {
  const allowed = allow.map((cidr) => ipaddr.parseCIDR(cidr));
  const addressesOf = resolve ?? createResolve({ local: allow.length > 0 });

  function mayConnect(text: string, port: number): boolean {
    if (!ipaddr.isValid(text)) return false;
    const address = ipaddr.process(text);
    return (
      allowed.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits)) ||
      (PORTS.has(port) && isPublic(address))
    );
  }

  /** For one connection. Where some addresses of a name are private and some are not, the public ones are used. */
  const lookupFor =
    (port: number): LookupFunction =>
    (hostname, options, callback) => {
      addressesOf(hostname).then(
        (addresses) => {
          const [first, ...others] = addresses
            .filter((address) => mayConnect(address, port))
            .map((address) => ({ address, family: isIP(address) }));
          if (!first) callback(new BlockedAddress('Every address of the host is blocked'), '');
          else if (options.all) callback(null, [first, ...others]);
          else callback(null, first.address, first.family);
        },
        (cause: unknown) => {
          const error = cause instanceof NoAnswer ? cause : new UnknownHost('The host has no address', { cause });
          callback(error, '');
        },
      );
    };

  /** Why these options of a request lead nowhere, or the lookup to connect with. */
  function screen({ host, port, path, socketPath }: http.ClientRequestArgs): BlockedAddress | LookupFunction {
    if (path || socketPath) return new BlockedAddress('A socket in the file system is not the web');
    const name = host ?? 'localhost';
    if (isIP(name) && !mayConnect(name, Number(port))) return new BlockedAddress('The address is blocked');
    return lookupFor(Number(port));
  }

  const kept = createKeeper();

  function guarded<Kind extends http.Agent>(agent: Kind): Kind {
    const connect = agent.createConnection.bind(agent);
    const keepAlive = agent.keepSocketAlive.bind(agent);
    const reuse = agent.reuseSocket.bind(agent);
    const guard: Pick<http.Agent, 'createConnection' | 'keepSocketAlive' | 'reuseSocket'> = {
      createConnection(options, callback) {
        const lookup = screen(options);
        if (typeof lookup !== 'function') return refuse(lookup, callback);
        return kept.opened(`${options.host ?? ''}:${options.port ?? ''}`, connect({ ...options, lookup }, callback));
      },
      keepSocketAlive(socket) {
        if (!kept.keep(socket)) return false;
        keepAlive(socket);
        // The agent's own time-out would be set for every request too. It closes what times out while it is idle.
        if (socket instanceof Socket) socket.setTimeout(IDLE_MS);
        return true;
      },
      reuseSocket(socket, request) {
        kept.reused(socket);
        if (socket instanceof Socket) socket.setTimeout(0);
        reuse(socket, request);
      },
    };
    return Object.assign(agent, guard);
  }

  const agents = (keepAlive: boolean): Agents => ({
    http: guarded(new http.Agent({ keepAlive })),
    // A poller talks to ever other hosts: TLS sessions are not worth their memory.
    https: guarded(new https.Agent({ keepAlive, maxCachedSessions: 0, ...(ca && { ca }) })),
  });
  return { ...agents(true), fresh: agents(false) };
}

// Less than the five seconds of many servers: who closes first is not asked in vain.
const IDLE_MS = 4_000;
const MAX_IDLE = 256;
/** A host that was connected to in this time may be connected to again while a connection is kept. */
const RECENT = { ttl: 2 * IDLE_MS, max: 20_000 } as const;

/** Decides which connections are kept: a poller talks to ever other hosts, and most of them are not worth their memory. */
function createKeeper() {
  const recent = new LRUCache<string, true>(RECENT);
  const worthKeeping = new WeakSet<Duplex>();
  const idle = new Set<Duplex>();
  return {
    /** @param host name and port */
    opened<Opened extends Duplex | null | undefined>(host: string, socket: Opened): Opened {
      if (socket && recent.has(host)) {
        worthKeeping.add(socket);
        socket.once('close', () => idle.delete(socket));
      }
      recent.set(host, true);
      return socket;
    },
    keep(socket: Duplex): boolean {
      if (idle.size >= MAX_IDLE || !worthKeeping.has(socket)) return false;
      idle.add(socket);
      return true;
    },
    reused(socket: Duplex): void {
      idle.delete(socket);
    },
  };
}

const PORTS: ReadonlySet<number> = new Set([80, 443, 8080, 8443]);

/** A unicast address to ipaddr.js, and the door to every Azure host's own services. */
const AZURE_WIRE_SERVER = '168.63.129.16';
/** All of IPv6 that was ever given to anyone. What lies outside hides IPv4 (::7f00:1) or stays within a site. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address.range() !== 'unicast') return false;
  if (address instanceof ipaddr.IPv6) return address.match(GLOBAL_UNICAST);
  return address.toString() !== AZURE_WIRE_SERVER;
}

/** Fails a connection the way an Agent expects it: the socket is never looked at where there is an error. */
function refuse(error: Error, callback?: (error: Error, socket: Socket) => void): undefined {
  callback?.(error, new Socket());
}

export interface ResolveOptions {
  /** Whether the system is asked too, for names like localhost. */
  readonly local: boolean;
  /** In the place of the system's name servers. */
  readonly servers?: readonly string[];
  /** In milliseconds that never go back. */
  readonly now?: () => number;
}

const MAX_NAMES = 50_000;
/** Answers hold as long as they say, within bounds; that there is none is believed for a while too. */
const HOLD_SECONDS = { least: 5, most: 300, none: 60 } as const;
/** RFC 8767: while nobody answers, the last answer is better than none, for a day; and nobody is asked for a while. */
const STALE = { mostMs: 86_400_000, holdSeconds: 30 } as const;
/** c-ares's words for a name that does not exist, or exists and has no address of that kind. */
const NOTHING_THERE: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

interface Answer {
  readonly addresses: readonly string[];
  readonly at: number;
}

/**
 * Asks the DNS by c-ares: dns.lookup has four threads for the whole process, and they are zlib's too. c-ares does not
 * read /etc/hosts, which is as well for strangers' URLs; with `local` the system is asked for what the DNS lacks.
 * Those who ask for one name at once share one question.
 */
export function createResolve({ local, servers, now = () => performance.now() }: ResolveOptions): Resolve {
  const resolver = new Resolver({ timeout: 2_500, tries: 2 });
  if (servers) resolver.setServers(servers);

  const cache = new LRUCache<string, Answer>({
    max: MAX_NAMES,
    perf: { now },
    ttlResolution: 0,
    fetchMethod: async (hostname, last, { options }) => {
      try {
        const { addresses, seconds } = await ask(hostname);
        options.ttl = seconds * 1_000;
        return { addresses, at: now() };
      } catch (error) {
        if (!last?.addresses.length || last.at + STALE.mostMs < now()) throw error;
        options.ttl = STALE.holdSeconds * 1_000;
        return last;
      }
    },
  });

  /** @throws NoAnswer */
  async function ask(hostname: string): Promise<{ readonly addresses: readonly string[]; readonly seconds: number }> {
    // IPv4 comes first: many hosts have an IPv6 address and no route to it.
    const answers = await Promise.allSettled([
      resolver.resolve4(hostname, { ttl: true }),
      resolver.resolve6(hostname, { ttl: true }),
    ]);
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (records.length > 0) {
      const seconds = Math.min(HOLD_SECONDS.most, ...records.map(({ ttl }) => ttl));
      return { addresses: records.map(({ address }) => address), seconds: Math.max(HOLD_SECONDS.least, seconds) };
    }
    const known = local ? await systemLookup(hostname, { all: true }).catch(() => []) : [];
    const addresses = known.map(({ address }) => address);
    const isSilent = answers.some((answer) => answer.status === 'rejected' && !saysNothingThere(answer.reason));
    if (addresses.length === 0 && isSilent) throw new NoAnswer('The DNS does not answer');
    return { addresses, seconds: addresses.length > 0 ? HOLD_SECONDS.least : HOLD_SECONDS.none };
  }

  return async (hostname) => {
    const answer = await cache.fetch(hostname);
    if (!answer?.addresses.length) throw new UnknownHost('The DNS has no address for the host');
    return answer.addresses;
  };
}

const saysNothingThere = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && NOTHING_THERE.has(error.code);
