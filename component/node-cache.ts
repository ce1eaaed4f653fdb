import { LRUCache } from 'lru-cache';
import type { NodeKey } from '../lib/domain.js';
import type { NodeStore } from '../lib/store/nodes.js';

const MOST = 20_000;

/**
 * Remembers what delivery asks of every record: how its node is configured. Only the process that holds the address
 * configures nodes, so what goes through `store` keeps the memory true; whoever becomes that process begins with clear().
 * The scheduler only takes nodes away, and forget() hears of it from the log.
 */
export function cacheNodes<Node extends object>(nodes: NodeStore, view: (id: NodeKey) => Promise<Node | undefined>) {
  const known = new LRUCache<NodeKey, Node>({ max: MOST });
  const store: NodeStore = {
    ...nodes,
    async configure(id, ...rest) {
      known.delete(id);
      const done = await nodes.configure(id, ...rest);
      known.delete(id);
      return done;
    },
    async delete(id, how) {
      const done = await nodes.delete(id, how);
      known.delete(id);
      return done;
    },
  };
  return {
    store,
    async node(id: NodeKey): Promise<Node | undefined> {
      const found = known.get(id) ?? (await view(id));
      if (found) known.set(id, found);
      return found;
    },
    /** A node that somebody else has taken away. */
    forget: (id: NodeKey) => {
      known.delete(id);
    },
    clear: () => {
      known.clear();
    },
  };
}
