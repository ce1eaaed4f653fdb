import { describe, expect, it } from '@jest/globals';
import { collect, contract } from '../../support/stores.js';

contract((open) => {
  describe.each(['contacts', 'rooms'] as const)('%s', (name) => {
    it('are kept once each, until they are removed', async () => {
      const { [name]: contacts } = await open();
      expect(await contacts.has('romeo@example.net')).toBe(false);
      expect(await contacts.add('romeo@example.net')).toBe(true);
      expect(await contacts.add('romeo@example.net')).toBe(false);
      expect(await contacts.add('example.net')).toBe(true);
      expect(await contacts.has('romeo@example.net')).toBe(true);
      expect(await contacts.has('romeo@example.ne')).toBe(false);
      expect(await contacts.count()).toBe(2);
      expect(await contacts.remove('romeo@example.net')).toBe(true);
      expect(await contacts.remove('romeo@example.net')).toBe(false);
      expect(await contacts.has('romeo@example.net')).toBe(false);
      expect(await collect(contacts.all())).toEqual(['example.net']);
    });

    it('are all told of, however many there are', async () => {
      const { [name]: contacts } = await open();
      expect(await collect(contacts.all())).toEqual([]);
      const jids = Array.from({ length: 5_000 }, (_, i) => `contact${10_000 + i}@example.net`);
      await Promise.all(jids.map(contacts.add));
      expect([...new Set(await collect(contacts.all()))].sort()).toEqual(jids);
      expect(await contacts.count()).toBe(5_000);
    });

    it('are not the others', async () => {
      const stores = await open();
      await stores[name].add('verona@rooms.example.net');
      expect([await stores.contacts.count(), await stores.rooms.count()].sort()).toEqual([0, 1]);
    });
  });
});
