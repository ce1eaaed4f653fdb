import xml, { type Element } from '@xmpp/xml';
import type { Page, PageAsk, Subscription } from '../lib/domain.js';
import { pageElement } from './rsm.js';

/** As every answer shows a subscription (XEP-0060 5.6). */
export const subscriptionElement = (
  { node, jid, subid, state }: Subscription,
  subscription: 'subscribed' | 'pending' | 'none' = state,
): Element => xml('subscription', { node, jid, subid, subscription });

/** The <set/> of a list, where one was asked for or something was left out. */
export const setOf = <T>(
  { entries, index, count }: Page<T>,
  asked: PageAsk | undefined,
  idOf: (one: T) => string,
): Element[] => (asked || entries.length < count ? [pageElement(entries.map(idOf), { index, count })] : []);
