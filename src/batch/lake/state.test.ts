import assert from 'node:assert/strict';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DuckDbEngine } from '../../adapters/duckdb/engine.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { writeChanges } from '../../../test/lake-changes.ts';
import { RandomHistory } from '../../../test/lake-history.ts';
import { seededRandom } from '../../../test/random.ts';
import { sqlIdentifier } from '../models/literal.ts';
import { compact } from './compaction.ts';
import { COMPACT_ALL, type CompactionPolicy } from './compaction-plan.ts';
import { inlineFiles } from './inline-files.ts';
import { Lake } from './lake.ts';
import type { LakeReset, LakeTable } from './manifest.ts';
import { stateOf } from './state.ts';
import type { TableRelation, UpTo } from './table-relation.ts';

const START_MS = Date.UTC(2026, 0, 1);
const DAY_MS = 24 * 60 * 60_000;

type Place = AsyncDisposable & Readonly<{ lake: Lake; engine: DuckDbEngine }>;

async function place(): Promise<Place> {
  const resources = new AsyncDisposableStack();
  const folder = resources.use(await mkdtempDisposable(join(tmpdir(), 'millrace-state-')));
  const lake = await Lake.open(folder.path);
  const engine = resources.use(
    await DuckDbEngine.open({
      memoryLimit: '256MB',
      threads: 2,
      tempDirectory: join(folder.path, 'tmp'),
    }),
  );
  return { lake, engine, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

const rowsOf = async (engine: DuckDbEngine, relation: TableRelation): Promise<string[]> => {
  const values = relation.columns.map(({ name }) => `CAST(${sqlIdentifier(name)} AS VARCHAR)`);
  const { rows } = await engine.query(
    `SELECT ${values.join(', ')} FROM (${inlineFiles(relation)})`,
  );
  return rows.map((row) => JSON.stringify(row)).toSorted();
};

/** Which of the table's sets of columns a relation has. */
const schemaIn = ({ schemas }: LakeTable, { columns }: TableRelation): number =>
  schemas.findIndex(
    (schema) =>
      JSON.stringify(schema.columns.map(({ name, type }) => [name, type])) ===
      JSON.stringify(columns.map(({ name, type }) => [name, type])),
  );

const seeds = Array.from({ length: Number(process.env['LAKE_SEEDS'] ?? 6) }, (_, seed) => seed);

describe('stateOf', { concurrency: 2 }, () => {
  for (const seed of seeds) {
    test(`is what a replay gives, at any position, however it is compacted (${seed})`, async () => {
      await using at = await place();
      const { lake, engine } = at;
      const random = seededRandom(seed + Number(process.env['LAKE_FIRST'] ?? 0));
      const history = new RandomHistory(random, START_MS);
      const pick = (count: number): number => Math.floor(random() * count);
      const table = async (): Promise<LakeTable> =>
        must((await lake.manifest()).tables[history.table.topic], 'it was written');
      const checkAt = async (
        upTo: UpTo | undefined,
        count: number,
        isReset: (reset: LakeReset) => boolean,
      ): Promise<void> => {
        const found = await table();
        const relation = stateOf(lake, found, upTo);
        const wanted = history.stateAfter(count, isReset, schemaIn(found, relation));
        assert.deepEqual(await rowsOf(engine, relation), wanted, JSON.stringify(upTo ?? 'now'));
      };
      const written = { changes: 0, resets: 0 };
      for (let round = 0; round < 8; round += 1) {
        for (let steps = 5 + pick(25); steps > 0; steps -= 1) history.step();
        await writeChanges(lake, engine, history.table, history.changes.slice(written.changes), {
          offsets: history.offsetsAfter(),
          resets: history.resets.slice(written.resets),
        });
        written.changes = history.changes.length;
        written.resets = history.resets.length;
        if (pick(2) === 0) {
          const policy: CompactionPolicy = { ...COMPACT_ALL, baseShare: pick(3) / 2 };
          const retentionMs = (pick(3) === 0 ? 1 + pick(5) : 1000) * DAY_MS;
          const options = { policy, retentionMs, nowMs: history.nowMs };
          await compact(lake, engine, options, () => {}, AbortSignal.timeout(60_000));
        }
        await checkAt(undefined, written.changes, () => true);
        const found = await table();
        for (let looks = 0; looks < 4; looks += 1) {
          const count = wholeOffset(history, 1 + pick(written.changes));
          const offsets = history.offsetsAfter(count);
          const isKept = Object.entries(found.floor ?? {}).every(
            ([partition, floor]) => (offsets[partition] ?? 0) >= floor,
          );
          const check = checkAt({ offsets }, count, (r) => r.at < (offsets[r.partition] ?? 0));
          if (isKept) await check;
          else await assert.rejects(check, isHorizon);
        }
        for (let looks = 0; looks < 4; looks += 1) {
          const timeMs = START_MS + pick(history.nowMs - START_MS + 1);
          const count = history.changes.findLastIndex((each) => each.timeMs <= timeMs) + 1;
          const horizonMs = found.floor === undefined ? 0 : found.bases[0]?.maxTimeMs;
          const check = checkAt({ timeMs }, count, (reset) => reset.timeMs <= timeMs);
          if (count > 0 && timeMs >= (horizonMs ?? 0)) await check;
          else await assert.rejects(check, isHorizon);
        }
      }
    });
  }
});

/** An offset is taken in as a whole: both rows of an update. */
const wholeOffset = ({ changes }: RandomHistory, count: number): number => {
  const [last, next] = [changes[count - 1], changes[count]];
  return last?.partition === next?.partition && last?.offset === next?.offset ? count + 1 : count;
};

const isHorizon = (error: unknown): boolean =>
  error instanceof MillraceError && error.code === 'lake_horizon';
