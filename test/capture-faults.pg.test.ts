import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { PostgresSource } from '../src/adapters/postgres/source.ts';
import { captureProducer } from '../src/capture/native-connector.ts';
import { MillraceError } from '../src/domain/errors.ts';
import { parseLsn } from '../src/domain/lsn.ts';
import { parsePosition } from '../src/domain/position.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { connector, connectorConfig, until } from './capture.ts';
import { historyOf } from './log-history.ts';
import { seededRandom } from './random.ts';
import { temporaryPostgres, type TemporaryPostgres } from './postgres.ts';

const SEED = Number(process.env['SEED'] ?? Date.now());
const random = seededRandom(SEED);
const ROWS = 12_000;
const TABLE = `create table a (id serial primary key, v text, n int default 0); alter table a replica identity full`;

for (const { title, failAt } of [
  { title: 'during the first copy', failAt: (n: number) => n % 4 === 3 },
  { title: 'at random appends', failAt: () => random() < 0.2 },
]) {
  test(
    `nothing is lost, doubled or reordered when appends fail ${title} (SEED=${SEED})`,
    { timeout: 60_000 },
    async () => {
      await using server = await temporaryPostgres();
      await using client = await PostgresClient.connect(server);
      await client.query(TABLE);
      await client.query(
        `insert into a(v) select repeat('x', 1000) from generate_series(1, ${ROWS})`,
      );
      const log = new MemoryEventLog();
      const faults = { until: 14, count: 0 };
      const stop = new AbortController();
      const capturing = runAgainAndAgain(server, failing(log, faults, failAt), stop.signal);
      const load = async (): Promise<void> => {
        for (let round = 0; round < 60; round += 1) {
          await client.query(`update a set n = n + 1 where id % 97 = ${round}`);
          await client.query(`delete from a where id = ${round * 200 + 7}`);
          await client.query(`insert into a(v) select 'new' from generate_series(1, 20)`);
          await client.query(`update a set id = -id where id = ${round * 200 + 8}`);
        }
      };
      await load();
      faults.until = 0;
      await client.query(`insert into a(v) values ('the end')`);
      const expected = await rowsOf(client);
      const [{ end } = {}] = await client.query('select pg_current_wal_insert_lsn() as end');
      await until(() => hasReached(log, end));
      stop.abort();
      await capturing;
      const { rows, problems } = await historyOf(log, 'test_server.public.a');
      assert.deepEqual(problems, []);
      assert.deepEqual(rows, expected);
      assert.ok(faults.count > 3, `only ${faults.count} faults happened`);
    },
  );
}

async function hasReached(log: EventLog, lsn: string | null | undefined): Promise<boolean> {
  const { end = 0n, copy } = parsePosition((await log.positionOf(captureProducer('test'))) ?? '{}');
  return copy === undefined && end >= parseLsn(lsn ?? '');
}

/** As the supervisor does, but at once. */
async function runAgainAndAgain(server: TemporaryPostgres, log: EventLog, signal: AbortSignal) {
  const config = connectorConfig(server, { 'table.include.list': 'public.a' });
  while (!signal.aborted) {
    await using source = await PostgresSource.open(server);
    try {
      await connector(source, log, config).run(signal);
    } catch (error) {
      if (!(error instanceof MillraceError) || !['disk_full', 'slot_in_use'].includes(error.code))
        throw error;
    }
  }
}

/** A log whose appends fail now and then; half of those did happen before they failed, as in a crash. */
function failing(
  log: EventLog,
  faults: { until: number; count: number },
  failAt: (n: number) => boolean,
): EventLog {
  let appends = 0;
  return new Proxy(log, {
    get(target, name, receiver): unknown {
      if (name !== 'openProducer') {
        const value: unknown = Reflect.get(target, name, receiver);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return async (producerName: string) => {
        const producer = await target.openProducer(producerName);
        return {
          position: producer.position,
          close: () => producer.close(),
          append: async (...what: Parameters<typeof producer.append>) => {
            appends += 1;
            const fails = faults.count < faults.until && failAt(appends);
            if (fails) faults.count += 1;
            if (!fails || appends % 2 === 0) await producer.append(...what);
            if (fails) throw new MillraceError('disk_full', { appends });
          },
        };
      };
    },
  });
}

async function rowsOf(client: PostgresClient) {
  const rows = await client.query('select id, v, n from a');
  return new Map(
    rows.map(({ id, v, n }) => [
      JSON.stringify({ id: Number(id) }),
      { id: Number(id), v, n: Number(n) },
    ]),
  );
}
