import { LmdbStore } from '../../src/adapters/lmdb/store.ts';
import { placesIn } from '../../src/app/config/data-directory.ts';
import type { ServedWrite } from '../../src/index.ts';

// Commits served writes, given as JSON, to the store of a data directory that another process may
// be using: what a processor never did, so that a reconciliation has something to find.
const [dataDir = '', writes = '[]'] = process.argv.slice(2);
const task = 'somebody-else/0';
await using store = await LmdbStore.open({ dir: placesIn(dataDir).store });
const from = await store.offsets(task);
await store.commit({
  task,
  from,
  to: { commits: (from['commits'] ?? 0) + 1 },
  state: [],
  served: JSON.parse(writes) as ServedWrite[],
  outgoing: [],
});
