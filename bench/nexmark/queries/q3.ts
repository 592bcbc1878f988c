import { topology } from '../../../src/index.ts';
import { isAuction, isPerson, type NexmarkEvent, type Person } from '../event.ts';
import { eventsOf } from '../source.ts';

const STATES = ['OR', 'ID', 'CA'];
const CATEGORY = 10;

type Local = Pick<Person, 'name' | 'city' | 'state'>;
type Seller = Readonly<{
  person: Local | null;
  /** Auctions of a seller who is yet to come. */
  waiting: readonly number[];
  /** Auctions that the last event has brought together with their seller. */
  matched: readonly number[];
}>;

/** Local item suggestion: who sells what in category 10 in three states. Either side may come first. */
export const q3 = topology('q3', {}, (sources) => {
  eventsOf(sources)
    .filter(isWanted)
    .groupBy((event) =>
      isPerson(event) ? event.person.id : isAuction(event) && event.auction.seller,
    )
    .aggregate<Seller>(() => ({ person: null, waiting: [], matched: [] }), met)
    .changes()
    .flatMap(({ after }) => (after?.matched ?? []).map((id) => ({ ...after?.person, id })))
    .to('nexmark-q3', { key: () => null });
});

function isWanted(event: NexmarkEvent): boolean {
  if (isPerson(event)) return STATES.includes(event.person.state);
  return isAuction(event) && event.auction.category === CATEGORY;
}

function met({ person, waiting }: Seller, event: NexmarkEvent): Seller {
  if (isPerson(event)) {
    const { name, city, state } = event.person;
    return { person: { name, city, state }, waiting: [], matched: waiting };
  }
  const id = isAuction(event) ? [event.auction.id] : [];
  if (person === null) return { person, waiting: [...waiting, ...id], matched: [] };
  return { person, waiting, matched: id };
}
