import { Resolver, lookup as systemLookup } from 'node:dns/promises';
import http from 'node:http';
import https from 'node:https';
import { isIP, Socket, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

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

/** All addresses of a host name, in the order in which they are to be tried. Rejects where there are none. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

export interface GuardOptions {
  /** CIDRs that may be connected to, on any port, although they are private: FETCH_ALLOW. */
  readonly allow?: readonly string[];
  /** Replaces DNS. What it answers is checked like any other answer. */
  readonly resolve?: Resolve;
}

export interface GuardedAgents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/**
 * Agents that connect to the public web and to nothing else, whatever a URL, a redirect or the DNS says: public
 * addresses on ports 80, 443, 8080 and 8443, and what `allow` names. Other ports are closed above 1024 too, where
 * databases and consoles listen.
 *
 * A literal address is checked before the connection, a name's addresses between the lookup and the connection. There is
 * no second lookup that could answer differently (DNS rebinding), and every redirect comes through here again.
 */
export function createGuardedAgents({ allow = [], resolve }: GuardOptions = {}): GuardedAgents {
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
        (cause: unknown) => callback(new UnknownHost('The host has no address', { cause }), ''),
      );
    };

  /** Why these options of a request lead nowhere, or the lookup to connect with. */
  function screen({ host, port, path, socketPath }: http.ClientRequestArgs): BlockedAddress | LookupFunction {
    if (path || socketPath) return new BlockedAddress('A socket in the file system is not the web');
    const name = host ?? 'localhost';
    if (isIP(name) && !mayConnect(name, Number(port))) return new BlockedAddress('The address is blocked');
    return lookupFor(Number(port));
  }

  class GuardedHttp extends http.Agent {
    override createConnection(...[options, callback]: Parameters<http.Agent['createConnection']>) {
      const lookup = screen(options);
      if (typeof lookup === 'function') return super.createConnection({ ...options, lookup }, callback);
      return refuse(lookup, callback);
    }
  }

  class GuardedHttps extends https.Agent {
    override createConnection(...[options, callback]: Parameters<https.Agent['createConnection']>) {
      const lookup = screen(options);
      if (typeof lookup === 'function') return super.createConnection({ ...options, lookup }, callback);
      return refuse(lookup, callback);
    }
  }

  // A poller talks to ever other hosts: neither connections nor TLS sessions are worth their memory.
  return {
    http: new GuardedHttp({ keepAlive: false }),
    https: new GuardedHttps({ keepAlive: false, maxCachedSessions: 0 }),
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

const MAX_CACHED_NAMES = 10_000;
const MAX_CACHED_SECONDS = 300;

export interface ResolveOptions {
  /** Whether the system is asked too, for names like localhost. */
  readonly local: boolean;
  /** In the place of the system's name servers. */
  readonly servers?: readonly string[];
}

/**
 * Asks the DNS by c-ares: dns.lookup has four threads for the whole process, and they are zlib's too. c-ares does not
 * read /etc/hosts, which is as well for strangers' URLs; with `local` the system is asked for what the DNS lacks.
 * Answers are kept as long as they say, but not above five minutes.
 */
export function createResolve({ local, servers }: ResolveOptions): Resolve {
  const resolver = new Resolver({ timeout: 2_500, tries: 2 });
  if (servers) resolver.setServers(servers);
  const cache = new Map<string, { readonly addresses: readonly string[]; readonly until: number }>();

  return async (hostname) => {
    const known = cache.get(hostname);
    if (known && known.until > performance.now()) return known.addresses;

    // IPv4 comes first: many hosts have an IPv6 address and no route to it.
    const answers = await Promise.allSettled([
      resolver.resolve4(hostname, { ttl: true }),
      resolver.resolve6(hostname, { ttl: true }),
    ]);
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (records.length === 0 && local)
      return (await systemLookup(hostname, { all: true })).map(({ address }) => address);
    if (records.length === 0) throw new UnknownHost('The DNS has no address for the host');

    const addresses = records.map(({ address }) => address);
    const seconds = Math.min(MAX_CACHED_SECONDS, ...records.map(({ ttl }) => ttl));
    if (cache.size >= MAX_CACHED_NAMES) cache.clear();
    cache.set(hostname, { addresses, until: performance.now() + seconds * 1_000 });
    return addresses;
  };
}
