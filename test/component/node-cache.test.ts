import { expect, it } from '@jest/globals';
import { cacheNodes } from '../../component/node-cache.js';
import { FIREHOSE, ownNodeIdOf, type NodeKey } from '../../lib/domain.js';
import { memoryStores } from '../support/memory.js';

const ID = ownNodeIdOf('musings');

/** A node, its cache, and how often each was looked at for it. */
async function bench() {
  const { nodes } = memoryStores();
  await nodes.create('musings', 'admin@example.net', { title: 'Musings' });
  const looks: NodeKey[] = [];
  const cache = cacheNodes(nodes, async (id) => {
    looks.push(id);
    return nodes.get(id);
  });
  const title = async () => (await cache.node(ID))?.config.title;
  return { ...cache, nodes, looks, title };
}

it('a node is read once', async () => {
  const { node, looks, title } = await bench();
  expect([await title(), await title()]).toEqual(['Musings', 'Musings']);
  expect((await node(FIREHOSE))?.kind).toBe('firehose');
  expect(looks).toEqual([ID, FIREHOSE]);
});

it('a node that is not there is asked for every time: it may come', async () => {
  const { store, node } = await bench();
  const other = ownNodeIdOf('other');
  expect(await node(other)).toBeUndefined();
  await store.create('other', 'admin@example.net', {});
  expect((await node(other))?.kind).toBe('own');
});

it('a node that is configured is as it is now', async () => {
  const { store, title } = await bench();
  await title();
  await store.configure(ID, { title: 'Later' }, false);
  expect(await title()).toBe('Later');
});

it('what was read while a node was being configured is not kept', async () => {
  const { nodes } = memoryStores();
  await nodes.create('musings', 'admin@example.net', { title: 'Musings' });
  const cache: ReturnType<typeof cacheNodes> = cacheNodes(
    {
      ...nodes,
      async configure(...args) {
        await cache.node(ID);
        return nodes.configure(...args);
      },
    },
    nodes.get,
  );
  await cache.store.configure(ID, { title: 'Later' }, false);
  expect(await cache.node(ID)).toMatchObject({ config: { title: 'Later' } });
});

it('what was being read when a node was configured is not kept, however late it comes', async () => {
  const { nodes } = memoryStores();
  await nodes.create('musings', 'admin@example.net', { title: 'Musings' });
  const reading: (() => void)[] = [];
  const cache = cacheNodes(nodes, async (id) => {
    const found = await nodes.get(id);
    await new Promise<void>((resolve) => reading.push(resolve));
    return found;
  });
  const early = cache.node(ID);
  await cache.store.configure(ID, { title: 'Later' }, false);
  reading.shift()?.();
  expect(await early).toMatchObject({ config: { title: 'Musings' } });
  const late = cache.node(ID);
  await nodes.get(ID);
  reading.shift()?.();
  expect(await late).toMatchObject({ config: { title: 'Later' } });
});

it('a node that is deleted is gone', async () => {
  const { store, node } = await bench();
  await node(ID);
  await store.delete(ID, { announce: false });
  expect(await node(ID)).toBeUndefined();
});

it('a node that somebody else has deleted can be forgotten', async () => {
  const { nodes, node, forget } = await bench();
  await node(ID);
  await nodes.delete(ID, { announce: false });
  expect(await node(ID)).toBeDefined();
  forget(ID);
  expect(await node(ID)).toBeUndefined();
});

it('whoever takes over the address begins with nothing', async () => {
  const { nodes, title, clear } = await bench();
  await title();
  await nodes.configure(ID, { title: 'Theirs' }, false);
  expect(await title()).toBe('Musings');
  clear();
  expect(await title()).toBe('Theirs');
});

it('everything else goes through to the store', async () => {
  const { store, nodes } = await bench();
  await store.affiliate(ID, 'juliet@example.net', 'member');
  expect(await nodes.affiliation(ID, 'juliet@example.net')).toBe('member');
  expect(await store.page({ limit: 5 })).toEqual(await nodes.page({ limit: 5 }));
});
