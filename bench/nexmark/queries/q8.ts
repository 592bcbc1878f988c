import { topology, tumbling } from '../../../src/index.ts';
import { isAuction, isPerson, type NexmarkEvent } from '../event.ts';
import { eventsOf, GRACE_MS } from '../source.ts';

type Seen = Readonly<{ name: string | null; hasAuction: boolean }>;

/** Monitor new users: who came and created auctions within the same 10 seconds. */
export const q8 = topology('q8', {}, (sources) => {
  eventsOf(sources)
    .filter((event) => isPerson(event) || isAuction(event))
    .groupBy((event) =>
      isPerson(event) ? event.person.id : isAuction(event) && event.auction.seller,
    )
    .windowedBy(tumbling({ sizeMs: 10_000, graceMs: GRACE_MS }))
    .aggregate<Seen>(() => ({ name: null, hasAuction: false }), seen)
    .final()
    .filter(({ name, hasAuction }) => name !== null && hasAuction)
    .map(({ name }, { key: id, startMs: stime }) => ({ id, name, stime }))
    .to('nexmark-q8', { key: () => null });
});

function seen(before: Seen, event: NexmarkEvent): Seen {
  if (isPerson(event)) return { ...before, name: event.person.name };
  return before.hasAuction ? before : { ...before, hasAuction: true };
}
