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
  // What was being read while anything changed may be how it was.
  let changes = 0;
  const forget = (id: NodeKey) => {
    changes += 1;
    known.delete(id);
  };
  const store: NodeStore = {
    ...nodes,
    async configure(id, ...rest) {
      forget(id);
      const done = await nodes.configure(id, ...rest);
      forget(id);
      return done;
    },
    async delete(id, how) {
      const done = await nodes.delete(id, how);
      forget(id);
      return done;
    },
  };
  return {
    store,
    async node(id: NodeKey): Promise<Node | undefined> {
      const remembered = known.get(id);
      if (remembered) return remembered;
      const before = changes;
      const found = await view(id);
      if (found && changes === before) known.set(id, found);
      return found;
    },
    /** A node that somebody else has taken away. */
    forget,
    clear: () => {
      changes += 1;
      known.clear();
    },
  };
}
