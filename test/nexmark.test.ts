import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { EXPECTED } from '../bench/nexmark/expected.ts';
import { nexmarkEvents } from '../bench/nexmark/generator.ts';
import { writeEvents } from '../bench/nexmark/input.ts';
import { QUERIES } from '../bench/nexmark/queries.ts';
import { runToEnd } from '../bench/nexmark/run-to-end.ts';
import { LmdbEventLog } from '../src/adapters/lmdb/event-log.ts';
import { LmdbStore } from '../src/adapters/lmdb/store.ts';
import { must } from '../src/lib/must.ts';
import { contents, textOf } from './stream.ts';

/** Half a minute of event time; so few of a kind that sessions end and ranks are shared. */
const SETTING = { events: 4000, eventsPerS: 100, seed: Number(process.env['SEED'] ?? Date.now()) };

// So many a commit that there are several, over state that does not fit.
const LIMITS = { maxRecords: 300, cacheEntries: 100 };

describe(`Nexmark queries over ${SETTING.events} events (SEED=${SETTING.seed})`, () => {
  for (const query of QUERIES) {
    test(`${query.name} comes to what all events at once come to`, async () => {
      const { values, byKey } = must(EXPECTED[query.name], 'each query has its reference');
      const expected = values([...nexmarkEvents(SETTING)]).map(canonical);
      assert.notEqual(expected.length, 0);
      const found = (await run(query)).map(({ key, value }) => ({ key, value: canonical(value) }));
      const last = byKey ? [...new Map(found.map((each) => [each.key, each])).values()] : found;
      assert.deepEqual(last.map(({ value }) => value).toSorted(), expected.toSorted());
    });
  }
});

async function run(query: (typeof QUERIES)[number]) {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-nexmark-'));
  try {
    const retention = { ms: 168 * 3_600_000, bytes: 2 ** 30 };
    await using log = await LmdbEventLog.open({ dir: join(dir, 'log'), retention, now: () => 0 });
    await using store = await LmdbStore.open({ dir: join(dir, 'store') });
    await writeEvents(log, SETTING);
    await runToEnd(query, { log, store, limits: LIMITS });
    return (await contents(log, `nexmark-${query.name}`)).map(({ key, value }) => ({
      key: textOf(key),
      value: JSON.parse(textOf(value)) as object,
    }));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** As text by which values can be told apart and put in order. */
function canonical(value: unknown): string {
  return JSON.stringify(Object.entries(value as object).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
