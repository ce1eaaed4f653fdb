import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { feedIdOf, FIREHOSE, nodeIdOf, ownNodeIdOf, parseFeedUrl } from '../../../lib/domain.js';
import type { Fault } from '../../../lib/faults.js';
import { configFields } from '../../../lib/node-config.js';
import { valuesOf } from '../../support/forms.js';
import {
  ADMIN,
  BARE,
  bench,
  form,
  ID,
  JULIET,
  MALLORY,
  NEW,
  NODE,
  PAGE,
  refusal,
  ROMEO,
  withBlog,
} from '../../support/service.js';
import { BLOG, entryOf, look, NO_SOURCE, openFeed } from '../../support/stores.js';

describe('a node', () => {
  it.each([
    ['NodeID', NODE],
    ['URL', BLOG],
    ['URL in another spelling', 'HTTPS://blog.example:443/atom.xml#top'],
    ['URL of its page', PAGE],
  ])('of a feed is found by its %s', async (_, name) => {
    const { service, stores } = await withBlog();
    await stores.aliases.add(PAGE, ID);
    expect((await service.describe(name, BARE)).node).toMatchObject({ id: ID, kind: 'feed', name: NODE });
  });

  it('without a feed is found by exactly the name that it was given', async () => {
    const { service, create } = bench();
    await create('princely_musings');
    const found = (await service.describe('princely_musings', BARE)).node;
    expect(found).toMatchObject({ id: ownNodeIdOf('princely_musings'), kind: 'own', name: 'princely_musings' });
    expect(await refusal(service.describe('Princely_Musings', BARE))).toBe('node-not-found');
  });

  it('may have a name that looks like that of a feed', async () => {
    const { service, create } = await withBlog();
    await create('other.example-aaaaaaaaaa');
    expect((await service.describe('other.example-aaaaaaaaaa', BARE)).node.kind).toBe('own');
  });

  it('with everything is always there', async () => {
    const { service } = bench();
    expect((await service.describe(FIREHOSE, BARE)).node).toMatchObject({ kind: 'firehose', name: FIREHOSE });
  });

  it.each([
    ['an unknown NodeID', 'blog.example-aaaaaaaaaa'],
    ['an unknown URL', NEW],
    ['a NodeID with the wrong host', `other.example-${ID}`],
    ['a bare FeedId', ID],
    ['some other word', 'princely_musings'],
    ['nothing', ''],
  ])('is not found by %s, whatever is wanted of it', async (_, node) => {
    const { service } = await withBlog();
    const [requester, jid] = [BARE, BARE];
    for (const ask of [
      () => service.describe(node, requester),
      () => service.items({ requester, node }),
      () => service.contents(node, requester, undefined),
      () => service.archive({ requester, node, page: { limit: 1 } }),
      () => service.subscriptions(requester, node),
      () => service.affiliations(requester, node),
      () => service.defaultOptions(node),
      () => service.unsubscribe({ requester, jid, node }),
      () => service.options({ requester, jid, node }),
      () => service.publish({ requester, node, items: [] }),
      () => service.retract({ requester, node, ids: ['1'], notify: false }),
      () => service.configuration(node, ADMIN),
      () => service.deleteNode({ requester: ADMIN, node }),
      () => service.purge(node, ADMIN),
      () => service.subscribers(node, ADMIN, { limit: 1 }),
      () => service.affiliated(node, ADMIN),
    ]) {
      expect(await refusal(ask())).toBe('node-not-found');
    }
  });

  it('named by something that looks like a URL and is none is refused as such', async () => {
    const { service } = await withBlog();
    expect(await refusal(service.describe('https://blog.example/a b', BARE))).toBe('not-a-feed');
    expect(await refusal(service.describe('https://juliet:secret@blog.example/', BARE))).toBe('not-a-feed');
  });

  it('is a feed that was read, rather than a page of the same URL that names another', async () => {
    const { service, stores } = await withBlog();
    await openFeed(stores, PAGE);
    await stores.aliases.add(PAGE, ID);
    expect((await service.describe(PAGE, BARE)).node.id).toBe(feedIdOf(PAGE));
  });

  it('is the feed that a page names, rather than an unread feed of the page’s URL', async () => {
    const { service, stores } = await withBlog();
    await stores.feeds.register(PAGE);
    expect((await service.describe(PAGE, BARE)).node.id).toBe(feedIdOf(PAGE));
    await stores.aliases.add(PAGE, ID);
    expect((await service.describe(PAGE, BARE)).node.id).toBe(ID);
  });

  it('says how many follow it, and who owns it', async () => {
    const { service, subscribe, affiliate } = await withBlog();
    await subscribe(BLOG);
    await subscribe(NODE, JULIET);
    await subscribe(FIREHOSE);
    await affiliate(NODE, JULIET, 'owner');
    await affiliate(NODE, MALLORY, 'publisher');
    expect(await service.describe(NODE, BARE)).toMatchObject({
      ...{ subscribers: 2, owners: [JULIET], publishers: [MALLORY], isOpen: true },
    });
    expect(await service.describe(FIREHOSE, BARE)).toMatchObject({ subscribers: 1 });
  });

  it('for members only says to others no more than that it is there', async () => {
    const { service, create, affiliate } = bench();
    await create('secret', { access_model: 'whitelist' });
    await affiliate('secret', JULIET, 'member');
    expect(await service.describe('secret', BARE)).toMatchObject({ isOpen: false });
    expect(await service.describe('secret', `${JULIET}/balcony`)).toMatchObject({ isOpen: true });
    expect(await service.describe('secret', ADMIN)).toMatchObject({ isOpen: true });
  });
});

describe('a node that is gone', () => {
  const URI = 'xmpp:pubsub.example.org?;node=blog';

  it.each([
    ['a feed', BLOG, NODE, [NODE, BLOG]],
    ['its own', 'musings', 'musings', ['musings']],
    ['its own that looks like that of a feed', 'news-aaaaaaaaaa', 'news-aaaaaaaaaa', ['news-aaaaaaaaaa']],
  ])('with a name of %s says where it has gone, if the owner has said so', async (_, made, node, names) => {
    const { service, create } = bench();
    await create(made);
    await service.deleteNode({ requester: ADMIN, node, uri: URI });
    for (const name of names) {
      const asked = service.items({ requester: BARE, node: name });
      expect(await refusal(asked)).toBe('gone');
      await expect(asked).rejects.toMatchObject({ uri: URI } satisfies Partial<Fault>);
      expect(await refusal(service.subscribe({ requester: BARE, jid: BARE, node: name }))).toBe('gone');
    }
  });

  it('because another node of ours has taken its place names that one', async () => {
    const { service, stores } = await withBlog();
    await openFeed(stores, NEW);
    await stores.nodes.delete(ID, { announce: true, successor: { node: feedIdOf(NEW) } });
    await expect(service.describe(NODE, BARE)).rejects.toMatchObject({
      code: 'gone',
      uri: `xmpp:feeds.example.net?;node=${nodeIdOf(NEW)}`,
    });
  });

  it('is not found when nobody said where it went, nor when its successor is gone too', async () => {
    const { service, stores } = await withBlog();
    await openFeed(stores, NEW);
    await stores.nodes.delete(ID, { announce: true, successor: { node: feedIdOf(NEW) } });
    await service.deleteNode({ requester: ADMIN, node: NEW });
    expect(await refusal(service.describe(NODE, BARE))).toBe('node-not-found');
    expect(await refusal(service.describe(NEW, BARE))).toBe('node-not-found');
  });

  it('is there again as soon as it is made again', async () => {
    const { service, create } = bench();
    await create('musings');
    await service.deleteNode({ requester: ADMIN, node: 'musings', uri: URI });
    await create('musings');
    expect((await service.describe('musings', BARE)).node.name).toBe('musings');
  });
});

describe('what nobody has configured', () => {
  const said = async (source: object) => {
    const { service, stores } = bench();
    await openFeed(stores);
    const feed = (await stores.feeds.get(ID))!;
    const outcome = {
      kind: 'fresh',
      validators: {},
      body: '',
      changes: { changes: [], touched: [], left: 0 },
    } as const;
    await stores.feeds.commit({ feed, outcome: { ...outcome, source: { ...NO_SOURCE, ...source } } });
    return (await service.describe(NODE, BARE)).node.config;
  };

  it('is as the feed says, in plain text', async () => {
    const config = await said({
      title: { type: 'html', value: ' <b>Montague</b> &amp; sons ' },
      subtitle: { type: 'text', value: 'Of <Verona>' },
      lang: 'it',
    });
    expect(config).toMatchObject({ title: 'Montague & sons', description: 'Of <Verona>', language: 'it' });
  });

  it.each([
    ['nothing', {}],
    ['only white space', { title: { type: 'text', value: '  ' } }],
  ])('has the URL for a title when the feed says %s', async (_, source) => {
    expect(await said(source)).toMatchObject({ title: BLOG, description: '', language: '' });
  });

  it('is as the service says', async () => {
    const { service, create } = await withBlog({ itemsPerNode: 7, nodeType: 'urn:x' });
    await create('musings');
    const config = async (node: string) => (await service.describe(node, BARE)).node.config;
    expect(await config(NODE)).toMatchObject({ type: 'urn:x', maxItems: 7, accessModel: 'open' });
    expect(await config('musings')).toMatchObject({ type: '', maxItems: 7, publishModel: 'publishers' });
    expect(await config(FIREHOSE)).toMatchObject({ type: 'http://www.w3.org/2005/Atom' });
  });

  it('gives way to what an owner says, and comes back when the owner leaves it empty', async () => {
    const { service, configure } = await withBlog();
    await configure(NODE, { title: 'Ours' });
    expect((await service.describe(NODE, BARE)).node).toMatchObject({
      config: { title: 'Ours' },
      defaults: { title: BLOG },
    });
    await configure(NODE, { title: '' });
    expect((await service.describe(NODE, BARE)).node.config.title).toBe(BLOG);
  });
});

describe('how somebody stands to a node', () => {
  it('goes by the bare JID', async () => {
    const { service, affiliate } = await withBlog();
    await affiliate(NODE, 'Romeo@EXAMPLE.net/anywhere', 'owner');
    expect((await service.configuration(NODE, ROMEO)).name).toBe(NODE);
    expect(await refusal(service.configuration(NODE, JULIET))).toBe('forbidden');
  });

  it('is that of an owner, for admins, on every node', async () => {
    const { service, create } = await withBlog();
    await create('musings');
    for (const node of [NODE, 'musings', FIREHOSE]) {
      expect((await service.configuration(node, 'Admin@example.net/desk')).name).toBe(node);
      expect(await refusal(service.configuration(node, BARE))).toBe('forbidden');
    }
  });

  it('stays that of an owner for admins that somebody else wants out', async () => {
    const { service, affiliate } = await withBlog();
    await affiliate(NODE, ADMIN, 'outcast');
    expect((await service.configuration(NODE, ADMIN)).name).toBe(NODE);
    expect((await service.items({ requester: ADMIN, node: NODE })).items).toHaveLength(2);
  });
});

describe('who is let in', () => {
  // Access model, affiliation, what subscribing gives, what reading gives without being subscribed (XEP-0060 4.1, 4.5).
  const TABLE = [
    ['open', 'none', 'subscribed', 'items'],
    ['open', 'member', 'subscribed', 'items'],
    ['open', 'publisher', 'subscribed', 'items'],
    ['open', 'owner', 'subscribed', 'items'],
    ['open', 'outcast', 'forbidden', 'forbidden'],
    ['open', 'publish-only', 'forbidden', 'forbidden'],
    ['authorize', 'none', 'pending', 'not-approved'],
    ['authorize', 'member', 'subscribed', 'items'],
    ['authorize', 'publisher', 'subscribed', 'items'],
    ['authorize', 'owner', 'subscribed', 'items'],
    ['authorize', 'outcast', 'forbidden', 'forbidden'],
    ['authorize', 'publish-only', 'forbidden', 'forbidden'],
    ['whitelist', 'none', 'closed-node', 'closed-node'],
    ['whitelist', 'member', 'subscribed', 'items'],
    ['whitelist', 'publisher', 'subscribed', 'items'],
    ['whitelist', 'owner', 'subscribed', 'items'],
    ['whitelist', 'outcast', 'forbidden', 'forbidden'],
    ['whitelist', 'publish-only', 'forbidden', 'forbidden'],
  ] as const;

  describe.each([
    ['a feed', NODE],
    ['its own', 'musings'],
    ['everything', FIREHOSE],
  ])('to a node of %s', (_, node) => {
    it.each(TABLE)('that is %s, with the affiliation %s: %s, %s', async (access, affiliation, subscribing, reading) => {
      const { service, create, configure, affiliate, subscribe } = await withBlog();
      await create('musings');
      await configure(node, { access_model: access });
      await affiliate(node, BARE, affiliation);

      const read = [
        () => service.items({ requester: ROMEO, node }),
        () => service.contents(node, ROMEO, undefined),
        () => service.archive({ requester: ROMEO, node, page: { limit: 10 } }),
        () => service.archiveEnds(node, ROMEO),
        () => service.readable(node, ROMEO),
      ];
      for (const ask of read) {
        if (reading === 'items') await ask();
        else expect(await refusal(ask())).toBe(reading);
      }
      const asked = subscribe(node, BARE, ROMEO);
      if (subscribing === 'subscribed' || subscribing === 'pending') {
        expect((await asked).subscription.state).toBe(subscribing);
      } else {
        expect(await refusal(asked)).toBe(subscribing);
        expect(await service.subscriptions(BARE)).toMatchObject({ count: 0 });
      }
    });
  });

  it('to a node that asks its owners reads it as soon as one has agreed, from every resource', async () => {
    const { service, create, subscribe } = bench();
    await create('musings', { access_model: 'authorize' });
    await subscribe('musings', ROMEO);
    expect(await refusal(service.items({ requester: ROMEO, node: 'musings' }))).toBe('not-approved');
    await service.decide({ requester: ADMIN, node: 'musings', jid: ROMEO, allow: true });
    await service.items({ requester: ROMEO, node: 'musings' });
    await service.items({ requester: `${BARE}/phone`, node: 'musings' });
    expect(await refusal(service.items({ requester: JULIET, node: 'musings' }))).toBe('not-approved');
  });
});

describe('who may add feeds', () => {
  const ASKS = [
    ['anyone', 'mallory@elsewhere.example', true],
    ['local', 'romeo@example.net/orchard', true],
    ['local', 'romeo@notexample.net', false],
    ['local', 'romeo@sub.example.net', false],
    ['local', 'mallory@elsewhere.example', false],
    ['local', 'boss@elsewhere.example', true],
    ['admins', 'romeo@example.net', false],
    ['admins', 'Boss@elsewhere.example/desk', true],
    ['admins', 'boss@elsewhere.example.net', false],
  ] as const;

  it.each(ASKS)('%s: %s may: %s', async (whoMayAdd, jid, may) => {
    const { subscribe, looked } = bench({ whoMayAdd, admins: ['boss@elsewhere.example'] });
    const asked = subscribe(NEW, jid);
    if (may) expect((await asked).subscription.feed).toBe(feedIdOf(NEW));
    else expect(await refusal(asked)).toBe('forbidden');
    expect(looked).toHaveLength(may ? 1 : 0);
  });

  it.each(ASKS)('%s: %s may drink the firehose: %s', async (whoMayAdd, jid, may) => {
    const { subscribe, service } = bench({ whoMayAdd, admins: ['boss@elsewhere.example'] });
    const read = () => service.items({ requester: jid, node: FIREHOSE });
    if (may) {
      expect((await subscribe(FIREHOSE, jid)).subscription.feed).toBe(FIREHOSE);
      expect((await read()).items).toEqual([]);
    } else {
      expect(await refusal(subscribe(FIREHOSE, jid))).toBe('forbidden');
      expect(await refusal(read())).toBe('forbidden');
    }
  });

  it('keeps nobody from following what is known', async () => {
    const { subscribe } = await withBlog({ whoMayAdd: 'admins' });
    expect((await subscribe(BLOG)).subscription.feed).toBe(ID);
  });

  it('keeps nobody from the firehose whom an owner has let in', async () => {
    const { subscribe, affiliate } = bench({ whoMayAdd: 'admins' });
    await affiliate(FIREHOSE, MALLORY, 'member');
    expect((await subscribe(FIREHOSE, MALLORY)).subscription.state).toBe('subscribed');
  });
});

describe('a URL that nobody follows yet', () => {
  it('is looked at, and a page leads to the feed that it names', async () => {
    const { service, looked } = bench();
    expect(await service.createNode({ requester: ADMIN, node: PAGE })).toBe(NODE);
    expect(looked).toEqual([PAGE]);
    expect((await service.describe(PAGE, BARE)).node.id).toBe(ID);
  });

  it('becomes a feed without a look at what it says when that takes too long', async () => {
    const { service, stores } = bench();
    await service.createNode({ requester: ADMIN, node: 'https://slow.example/' });
    const id = feedIdOf(parseFeedUrl('https://slow.example/'));
    expect(await stores.feeds.get(id)).toMatchObject({ version: 0 });
    expect(await stores.feeds.count()).toEqual({ feeds: 1, due: 1 });
  });

  it('may turn out to be a feed that an owner keeps from the one who asks', async () => {
    const { subscribe, configure, stores } = await withBlog();
    await configure(NODE, { access_model: 'whitelist' });
    expect(await refusal(subscribe(PAGE))).toBe('closed-node');
    expect(await stores.subscriptions.countOfFeed(ID)).toBe(0);
  });

  it('is not made of what is refused', async () => {
    const { service, stores } = bench();
    const config = form({ access_model: 'whitelist' });
    for (const node of ['https://broken.example/', 'https://down.example/']) {
      await refusal(service.createNode({ requester: ADMIN, node, config }));
    }
    expect(await stores.feeds.count()).toEqual({ feeds: 0, due: 0 });
    expect(await stores.nodes.page({ limit: 10 })).toMatchObject({ count: 0 });
  });
});

it('a node keeps its name and its rules when its feed is read again', async () => {
  const { service, stores, configure } = await withBlog();
  await configure(NODE, { title: 'Ours', access_model: 'authorize' });
  await look(stores, BLOG, [entryOf('c')]);
  expect((await service.describe(NODE, BARE)).node.config).toMatchObject({ title: 'Ours', accessModel: 'authorize' });
});

it('a feed with credentials is for its members, however it is configured', async () => {
  const { service, stores, subscribe } = await withBlog();
  await fc.assert(
    fc.asyncProperty(valuesOf(configFields('feed')), fc.boolean(), async (config, hasCredentials) => {
      await stores.nodes.configure(ID, config, false, hasCredentials ? 'sealed' : '');
      const accessModel = (await service.node(ID))?.config.accessModel;
      expect(accessModel).toBe(hasCredentials ? 'whitelist' : config.accessModel);
      if (hasCredentials) expect(await refusal(subscribe(NODE))).toBe('closed-node');
    }),
  );
});
