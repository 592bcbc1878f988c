import { seededRandom } from '../../test/random.ts';
import type { Auction, Bid, NexmarkEvent, Person } from './event.ts';

/*
 * The generator of https://github.com/nexmark/nexmark in its default setting, from one seed instead of
 * the JVM's random numbers: the same proportions, ids, ratios, sizes and times.
 */

export type GeneratorSetting = Readonly<{
  events: number;
  /** Of event time: how far apart two events are. */
  eventsPerS: number;
  seed: number;
}>;

/** Of each 50 events. */
const PERSONS = 1;
const AUCTIONS = 3;
const EPOCH = 50;

const FIRST_PERSON = 1000;
const FIRST_AUCTION = 1000;
const FIRST_CATEGORY = 10;
const CATEGORIES = 5;

/** One in so many is not for the hot auction, seller or bidder, but for any that is active. */
const HOT_AUCTION_RATIO = 2;
const HOT_SELLER_RATIO = 4;
const HOT_BIDDER_RATIO = 4;
const HOT_CHANNEL_RATIO = 2;
/** One of so many auctions or persons is a hot one. */
const HOT_OF = 100;

const AUCTIONS_IN_FLIGHT = 100;
const ACTIVE_PERSONS = 1000;
/** Ids that are used though they are yet to come. */
const LEAD = 10;

/** Means, as the official generator counts them: 8 bytes a number. */
const PERSON_BYTES = 200;
const AUCTION_BYTES = 500;
const BID_BYTES = 100;

const FIRST_MS = Date.UTC(2026, 0, 1);
const CHANNELS = 10_000;
const HOT_CHANNELS = ['Google', 'Facebook', 'Baidu', 'Apple'];
const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'];
const CITIES =
  'Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne'.split(',');
const FIRST_NAMES = 'Peter,Paul,Luke,John,Saul,Vicky,Kate,Julie,Sarah,Deiter,Walter'.split(',');
const LAST_NAMES = 'Shultz,Abrams,Spencer,White,Bartels,Walton,Smith,Jones,Noris'.split(',');

/** Persons, auctions and bids, in the order of their times; the same for the same setting. */
export function* nexmarkEvents(setting: GeneratorSetting): Generator<NexmarkEvent, void> {
  const draws = new Draws(setting.seed);
  const channels = Array.from({ length: CHANNELS }, (_, number) => channelOf(number, draws));
  const hotUrls = HOT_CHANNELS.map(() => baseUrl(draws));
  const timeMs = (event: number): number =>
    FIRST_MS + Math.floor((event * 1000) / setting.eventsPerS);
  for (let event = 0; event < setting.events; event += 1) {
    const epoch = Math.floor(event / EPOCH);
    const offset = event % EPOCH;
    const last = {
      person: epoch * PERSONS,
      // Before the first of an epoch, the last one of the epoch before.
      auction: epoch * AUCTIONS + Math.min(offset - PERSONS, AUCTIONS - 1),
    };
    const dateTime = timeMs(event);
    if (offset < PERSONS) yield { event_type: 0, person: person(last.person, dateTime, draws) };
    else if (offset < PERSONS + AUCTIONS) {
      const horizonMs = timeMs(event + (AUCTIONS_IN_FLIGHT * EPOCH) / AUCTIONS) - dateTime;
      yield { event_type: 1, auction: auction(last, dateTime, horizonMs, draws) };
    } else yield { event_type: 2, bid: bid(last, dateTime, draws, { channels, hotUrls }) };
  }
}

/** Ids, from 0, of the newest there are. */
type Last = Readonly<{ person: number; auction: number }>;
type Channel = Readonly<{ channel: string; url: string }>;

function person(id: number, dateTime: number, draws: Draws): Person {
  const name = `${draws.of(FIRST_NAMES)} ${draws.of(LAST_NAMES)}`;
  const emailAddress = `${draws.text(7)}@${draws.text(5)}.com`;
  const creditCard = Array.from({ length: 4 }, () =>
    String(draws.below(10_000)).padStart(4, '0'),
  ).join(' ');
  const city = draws.of(CITIES);
  const state = draws.of(STATES);
  const size = 8 + [name, emailAddress, creditCard, city, state].join('').length;
  const extra = draws.extra(size, PERSON_BYTES);
  return { id: FIRST_PERSON + id, name, emailAddress, creditCard, city, state, dateTime, extra };
}

function auction(last: Last, dateTime: number, horizonMs: number, draws: Draws): Auction {
  const seller = draws.isHot(HOT_SELLER_RATIO) ? hot(last.person) : anyPerson(last, draws);
  const category = FIRST_CATEGORY + draws.below(CATEGORIES);
  const initialBid = draws.price();
  const expires = dateTime + 1 + draws.below(Math.max(1, 2 * horizonMs));
  const itemName = draws.text(20);
  const description = draws.text(100);
  const reserve = initialBid + draws.price();
  const extra = draws.extra(48 + itemName.length + description.length, AUCTION_BYTES);
  return {
    id: FIRST_AUCTION + last.auction,
    itemName,
    description,
    initialBid,
    reserve,
    dateTime,
    expires,
    seller: FIRST_PERSON + seller,
    category,
    extra,
  };
}

function bid(
  last: Last,
  dateTime: number,
  draws: Draws,
  { channels, hotUrls }: Readonly<{ channels: readonly Channel[]; hotUrls: readonly string[] }>,
): Bid {
  const auctionId = draws.isHot(HOT_AUCTION_RATIO) ? hot(last.auction) : anyAuction(last, draws);
  // The second of a hundred, so that hot bidders are no hot sellers.
  const bidder = draws.isHot(HOT_BIDDER_RATIO) ? hot(last.person) + 1 : anyPerson(last, draws);
  const price = draws.price();
  const at = draws.below(HOT_CHANNELS.length);
  const { channel, url } = draws.isHot(HOT_CHANNEL_RATIO)
    ? { channel: HOT_CHANNELS[at] ?? '', url: hotUrls[at] ?? '' }
    : draws.of(channels);
  const extra = draws.extra(32, BID_BYTES);
  const ids = { auction: FIRST_AUCTION + auctionId, bidder: FIRST_PERSON + bidder };
  return { ...ids, price, channel, url, dateTime, extra };
}

function hot(last: number): number {
  return Math.floor(last / HOT_OF) * HOT_OF;
}

function anyAuction(last: Last, draws: Draws): number {
  const first = Math.max(0, last.auction - AUCTIONS_IN_FLIGHT);
  return first + draws.below(last.auction - first + 1 + LEAD);
}

function anyPerson(last: Last, draws: Draws): number {
  const active = Math.min(last.person + 1, ACTIVE_PERSONS);
  return last.person + 1 - active + draws.below(active + LEAD);
}

function channelOf(number: number, draws: Draws): Channel {
  const url = baseUrl(draws);
  const id = draws.isHot(10) ? `&channel_id=${reversedBits(number)}` : '';
  return { channel: `channel-${number}`, url: url + id };
}

function baseUrl(draws: Draws): string {
  const folders = [draws.text(5, '_'), draws.text(5, '_'), draws.text(5, '_')].join('/');
  return `https://www.nexmark.com/${folders}/item.htm?query=1`;
}

function reversedBits(number: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit += 1) reversed = (reversed << 1) | ((number >>> bit) & 1);
  return Math.abs(reversed);
}

/** What the generator draws, from one seed. */
class Draws {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  /** True but for one in `ratio`. */
  isHot(ratio: number): boolean {
    return this.below(ratio) > 0;
  }

  /** From 1.00 to 1,000,000.00 in cents: its logarithm is evenly spread. */
  price(): number {
    return Math.round(10 ** (this.#random() * 6) * 100);
  }

  /** At most `maxLength` letters, with a gap now and then. */
  text(maxLength: number, gap = ' '): string {
    let text = '';
    for (let left = 3 + this.below(maxLength - 3); left > 0; left -= 1)
      text += this.below(13) === 0 ? gap : this.#letter();
    return text.trim();
  }

  /** Letters that make `size` bytes `meanSize` on average, a fifth more or less. */
  extra(size: number, meanSize: number): string {
    if (size > meanSize) return '';
    const spread = Math.round((meanSize - size) * 0.2);
    let text = '';
    for (let left = meanSize - size - spread + this.below(2 * spread || 1); left > 0; left -= 1)
      text += this.#letter();
    return text;
  }

  #letter(): string {
    return String.fromCharCode(97 + this.below(26));
  }
}
