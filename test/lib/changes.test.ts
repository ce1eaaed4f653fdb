import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compare, type Known } from '../../lib/changes.js';
import { contentHash, feedIdOf, itemIdOf, type Entry } from '../../lib/domain.js';
import { BLOG, entryOf } from '../support/stores.js';

const ID = feedIdOf(BLOG);
const knowing = (...entries: Entry[]): Known => new Map(entries.map((one) => [itemIdOf(ID, one.id), contentHash(one)]));
const NOTHING = knowing();
const on = (day: string, id: string): Entry => ({ ...entryOf(id), published: `2026-01-${day}T00:00:00Z` });

/** What a poll makes of these entries: each one's id and what becomes of it. */
const told = (known: Known, entries: readonly Entry[], first = false) =>
  compare(ID, known, entries, first).changes.map(({ entry, kind }) => [entry.id, kind]);

describe('comparing', () => {
  it('finds what is new and what was edited, and touches the rest', () => {
    const known = knowing(entryOf('same'), entryOf('edited'));
    const { changes, touched } = compare(
      ID,
      known,
      [entryOf('new'), entryOf('edited', 'better'), entryOf('same')],
      false,
    );
    expect(changes).toEqual([
      {
        item: itemIdOf(ID, 'edited'),
        hash: contentHash(entryOf('x', 'better')),
        kind: 'edited',
        entry: entryOf('edited', 'better'),
      },
      { item: itemIdOf(ID, 'new'), hash: contentHash(entryOf('new')), kind: 'new', entry: entryOf('new') },
    ]);
    expect(touched).toEqual([itemIdOf(ID, 'same')]);
  });

  it('leaves what vanished alone', () => {
    expect(compare(ID, knowing(entryOf('gone')), [], false)).toEqual({ changes: [], touched: [] });
  });

  it('does not take a date that moved for an edit', () => {
    expect(told(knowing(on('01', 'a')), [on('02', 'a')])).toEqual([]);
  });

  it('announces the oldest first: by the document where dates are missing', () => {
    expect(told(NOTHING, [entryOf('c'), on('05', 'b'), on('09', 'a')])).toEqual([
      ['a', 'new'],
      ['b', 'new'],
      ['c', 'new'],
    ]);
  });

  it('announces the oldest first: by date where every entry has one', () => {
    expect(told(NOTHING, [on('01', 'a'), on('03', 'c'), { ...entryOf('b'), updated: '2026-01-02T00:00:00Z' }])).toEqual(
      [
        ['a', 'new'],
        ['b', 'new'],
        ['c', 'new'],
      ],
    );
  });

  it('keeps the order of the document among entries of one date', () => {
    expect(told(NOTHING, [on('01', 'c'), on('01', 'b'), on('01', 'a')]).map(([id]) => id)).toEqual(['a', 'b', 'c']);
  });

  it('does not change what it was given', () => {
    const entries = Object.freeze([on('02', 'b'), on('01', 'a')]);
    told(NOTHING, entries);
    expect(entries.map(({ id }) => id)).toEqual(['b', 'a']);
  });
});

describe('the first reading', () => {
  it('is the past of the feed: stored, the latest one marked', () => {
    expect(told(NOTHING, [entryOf('c'), entryOf('b'), entryOf('a')], true)).toEqual([
      ['a', 'stored'],
      ['b', 'stored'],
      ['c', 'first'],
    ]);
  });

  it('may be empty', () => {
    expect(compare(ID, NOTHING, [], true)).toEqual({ changes: [], touched: [] });
  });
});

it('every entry is either touched or changed, once, and a second look finds nothing', () => {
  const entries = fc.uniqueArray(fc.string(), { maxLength: 30 }).map((ids) => ids.map((id) => entryOf(id)));
  fc.assert(
    fc.property(entries, fc.array(fc.nat(29)), fc.boolean(), (shown, known, first) => {
      const before = knowing(...known.flatMap((i) => shown[i] ?? []));
      const { changes, touched } = compare(ID, before, shown, first);
      const seen = [...touched, ...changes.map(({ item }) => item)];
      expect(seen.sort()).toEqual(shown.map(({ id }) => itemIdOf(ID, id)).sort());
      const after = new Map([...before, ...changes.map(({ item, hash }) => [item, hash] as const)]);
      expect(compare(ID, after, shown, false).changes).toEqual([]);
    }),
  );
});
