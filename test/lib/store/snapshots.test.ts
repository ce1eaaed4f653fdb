import { expect, it } from '@jest/globals';
import { contract, until } from '../../support/stores.js';

contract((open) => {
  it('shows what was said last', async () => {
    const { snapshots } = await open();
    expect(await snapshots.get('component')).toBeUndefined();
    await snapshots.put('component', '{"up":false}', 60_000);
    await snapshots.put('component', '{"up":true}', 60_000);
    expect(await snapshots.get('component')).toBe('{"up":true}');
    expect(await snapshots.get('scheduler')).toBeUndefined();
  });

  it('forgets whoever stops saying it', async () => {
    const { snapshots } = await open();
    await snapshots.put('component', 'here', 1);
    await until(async () => (await snapshots.get('component')) === undefined);
    expect(await snapshots.get('component')).toBeUndefined();
  });
});
