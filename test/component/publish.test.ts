import { expect, it } from '@jest/globals';
import xml, { type Element } from '@xmpp/xml';
import { problemIn } from '../../component/payload.js';
import { pubsubPublish } from '../../component/xeps/pubsub-publish.js';

const PUBSUB = 'http://jabber.org/protocol/pubsub';

/** The payloads of a request, as they are handed on. The request is XML text as another server may write it. */
async function payloadsOf(request: string): Promise<readonly string[]> {
  const parser = new xml.Parser();
  let read: Element | undefined;
  parser.on('element', (element: Element) => (read = element));
  parser.write(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>${request}`,
  );
  const payload = read!.getChild('pubsub')!;
  const published: string[] = [];
  const { routes } = pubsubPublish({
    publish: ({ items }) => {
      published.push(...items.flatMap(({ payloads }) => payloads));
      return Promise.resolve([]);
    },
    retract: () => Promise.resolve(),
  });
  const publish = routes.find(({ name }) => name === 'publish')!;
  await publish.answer({ from: 'romeo@example.net/orchard', payload, action: payload.getChild('publish')! });
  return published;
}

const publish = (item: string, attributes = '') =>
  `<iq type='set' xmlns:s='urn:example:s'><pubsub xmlns='${PUBSUB}' xmlns:p='urn:example:p' ${attributes}>` +
  `<publish node='n'><item id='1'>${item}</item></publish></pubsub></iq>`;

it.each<[string, string, string]>([
  ['says a namespace that it had from around it', '<a><b/></a>', `<a xmlns="${PUBSUB}"><b/></a>`],
  ['keeps a namespace of its own', `<a xmlns='urn:example:a'/>`, '<a xmlns="urn:example:a"/>'],
  ['may be of no namespace', `<a xmlns=''><b/></a>`, '<a xmlns=""><b/></a>'],
  [
    'says the prefixes that it uses',
    `<p:a xmlns='urn:example:a'><b s:c='1'/></p:a>`,
    '<p:a xmlns="urn:example:a" xmlns:p="urn:example:p" xmlns:s="urn:example:s"><b s:c="1"/></p:a>',
  ],
  [
    'keeps a prefix of its own',
    `<p:a xmlns='urn:example:a' xmlns:p='urn:example:other'/>`,
    '<p:a xmlns="urn:example:a" xmlns:p="urn:example:other"/>',
  ],
])('a payload %s', async (_, payload, expected) => {
  expect(await payloadsOf(publish(payload))).toEqual([expected]);
  expect(problemIn(expected)).toBeUndefined();
});

it('a payload has the prefixes that are nearest to it', async () => {
  const request = publish('<p:a/>', `xmlns:s='urn:example:nearer'`).replace(
    '<item',
    `<item xmlns:p='urn:example:nearest'`,
  );
  expect(await payloadsOf(request)).toEqual([`<p:a xmlns:p="urn:example:nearest" xmlns="${PUBSUB}"/>`]);
});

it('a payload whose prefixes nobody explains is refused', async () => {
  await expect(payloadsOf(publish('<nobody:a/>'))).rejects.toMatchObject({ name: 'Fault', code: 'invalid-payload' });
});
