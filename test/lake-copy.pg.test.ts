import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { DuckDbWarehouse } from '../src/adapters/duckdb/warehouse.ts';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { copiesLeftIn } from '../src/app/batch/copies-left.ts';
import { PostgresSource } from '../src/adapters/postgres/source.ts';
import { LakePart } from '../src/app/batch/lake-part.ts';
import { describeTables } from '../src/app/described-tables.ts';
import { loadModels } from '../src/batch/models/project.ts';
import { runModels } from '../src/batch/run/model-run.ts';
import type { EventLog } from '../src/ports/event-log.ts';
import { MillraceError } from '../src/domain/errors.ts';
import { inlineFiles } from '../src/batch/lake/inline-files.ts';
import { stateOf } from '../src/batch/lake/state.ts';
import { capturing, connector, connectorConfig, recordsOf, until } from './capture.ts';
import { cutting } from './cutting-log.ts';
import { type LakeTest, lakeTest } from './lake.ts';
import { temporaryPostgres, type TemporaryPostgres } from './postgres.ts';

const TOPIC = 'test_server.public.t';

describe('a model of a table that is being copied', { timeout: 120_000 }, () => {
  test('keeps its last result after the key has changed, and is made when the copy has ended', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await using blocker = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, no int NOT NULL UNIQUE)');
    await client.query('INSERT INTO t SELECT i, 1000 + i FROM generate_series(1, 100) i');
    const log = new MemoryEventLog();
    const capture = await capturing(server, log);
    await using t = await lakeTest(undefined, { log });
    await using models = await modelsOver(t, {
      figures: "SELECT count(*) AS rows, CAST(sum(no) AS BIGINT) AS total FROM {{ source('t') }}",
      doubled: "SELECT 2 * total AS twice FROM {{ ref('figures') }}",
    });
    await using running = await writing(t, server, log, async (topic) => {
      // Whoever reads the table waits, and so does the copy.
      await blocker.query('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
      await capture.connector.copy([topic]);
    });
    await running.flush();
    assert.deepEqual(await models.run(), ['figures: done', 'doubled: done']);
    const good = [['100', '105050']];
    assert.deepEqual(await models.rows('figures'), good);

    await client.query('ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (no)');
    await client.query('UPDATE t SET id = -1 WHERE no = 1001');
    await until(async () => (await recordsOf(log, TOPIC)).length > 100);
    await running.flush();
    const waits = 'waiting: public.t is being copied';
    for (let times = 0; times < 2; times += 1) {
      assert.deepEqual(await models.run(), [`figures: ${waits}`, `doubled: ${waits}`]);
      assert.deepEqual(await models.rows('figures'), good);
      assert.deepEqual(await models.rows('doubled'), [['210100']]);
      await running.flush();
    }

    await blocker.query('ROLLBACK');
    const copiesLeft = copiesLeftIn(log, 'test', 'test_server', 0);
    await until(async () => isDeepStrictEqual(await copiesLeft(), new Set()));
    await running.flush();
    assert.deepEqual(await models.run(), ['figures: done', 'doubled: done']);
    assert.deepEqual(await models.rows('figures'), [['100', '105050']]);
    await capture.stop();
  });
});

describe('a table in the lake', { timeout: 120_000 }, () => {
  test('has all its rows where it does not count as incomplete, however often its first copy is cut off', async () => {
    const rows = 6_000;
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    for (const table of ['s', 't'])
      await client.query(
        `CREATE TABLE ${table} AS SELECT i AS id, repeat('x', 1000) AS v FROM generate_series(1, ${rows}) i;
        ALTER TABLE ${table} ADD PRIMARY KEY (id)`,
      );
    const log = new MemoryEventLog();
    let appends = 0;
    // Before an append is durable, and after it, in turn.
    const cutOff = (): void => {
      appends += 1;
      if (appends % 9 === 8) throw new MillraceError('disk_full', {});
    };
    const copiesLeft = copiesLeftIn(log, 'test', 'test_server', 0);
    const stop = new AbortController();
    const capture = capturingAgainAndAgain(server, cutting(log, cutOff), stop.signal);
    await using t = await lakeTest(undefined, { log });
    const seen = { complete: 0, partial: 0 };
    const look = async (): Promise<void> => {
      // A writer of its own each time, as after a crash.
      const { tables } = await t.write(writerOf(server, log));
      for (const table of Object.values(tables)) {
        const sql = inlineFiles(stateOf(t.lake, table));
        const found = Number((await t.engine.query(`SELECT count(*) FROM (${sql})`)).rows[0]?.[0]);
        if (table.incomplete === undefined) assert.equal(found, rows, table.name);
        seen[found === rows ? 'complete' : 'partial'] += 1;
      }
    };
    while (!isDeepStrictEqual(await copiesLeft(), new Set())) await look();
    await look();
    stop.abort();
    await capture;
    const { tables } = await t.lake.manifest();
    assert.deepEqual(
      Object.values(tables).map(({ name, incomplete }) => [name, incomplete]),
      [
        ['s', undefined],
        ['t', undefined],
      ],
    );
    assert.ok(seen.partial > 0, 'the writer looked while tables were copied');
  });
});

/** Of a log whose disk is full now and then. */
async function capturingAgainAndAgain(
  server: TemporaryPostgres,
  log: EventLog,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await using source = await PostgresSource.open(server);
    const running = connector(source, log, connectorConfig(server));
    await running.run(signal).catch((error: unknown) => {
      const isExpected =
        error instanceof MillraceError && ['disk_full', 'slot_in_use'].includes(error.code);
      if (!isExpected) throw error;
    });
  }
}

/** The lake's part of a process, at work until it is disposed of. */
async function writing(
  { lake }: LakeTest,
  server: TemporaryPostgres,
  log: EventLog,
  requestCopy: (topic: string) => Promise<void>,
): Promise<AsyncDisposable & Pick<LakePart, 'flush'>> {
  const part = new LakePart({
    places: {
      lake: { dir: lake.dir, isNamed: true, flushMs: 60_000, retentionMs: 86_400_000 },
      batch: { intervalMs: 0, memory: '256MB', warehouse: { kind: 'duckdb' } },
    },
    log,
    connector: connectorConfig(server),
    connection: server,
    engine: 'native',
    requestCopy,
    isInKafka: false,
    onChange: () => {},
  });
  const stop = new AbortController();
  const done = part.run(stop.signal);
  await until(async () => part.status()?.state === 'running');
  return {
    flush: () => part.flush(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}

function writerOf(server: TemporaryPostgres, log: EventLog) {
  const config = connectorConfig(server);
  return {
    isTable: (topic: string) => topic.startsWith('test_server.public.'),
    describe: async (topic: string) =>
      (await describeTables(server, config, 'native')).find((table) => table.topic === topic),
    copiesLeft: copiesLeftIn(log, config.name, config.topicPrefix, 0),
  };
}

/** Models as tables, in a folder of their own, and what becomes of them. */
async function modelsOver({ lake, engine }: LakeTest, sqls: Readonly<Record<string, string>>) {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-models-'));
  const modelsDir = join(dir, 'models');
  await mkdir(modelsDir);
  for (const [name, sql] of Object.entries(sqls))
    await writeFile(join(modelsDir, `${name}.sql`), `/*\nmaterialization: table\n*/\n${sql}\n`);
  const { models } = await loadModels(modelsDir);
  const warehouse = await DuckDbWarehouse.open({
    memoryLimit: '256MB',
    threads: 1,
    tempDirectory: join(dir, 'tmp'),
  });
  const all = new Set(models.map(({ name }) => name));
  return {
    async run(): Promise<readonly string[]> {
      const report = await runModels({
        lake,
        warehouse,
        models,
        build: all,
        test: all,
        fullRefresh: false,
        runStartedAtMs: Date.now(),
        variables: {},
        onEvent: () => {},
        signal: new AbortController().signal,
      });
      return report.models.map((each) => {
        const why = 'problem' in each ? each.problem : 'for' in each ? each.for : undefined;
        return `${each.name}: ${each.outcome}${why === undefined ? '' : `: ${why}`}`;
      });
    },
    async rows(name: string): Promise<readonly (readonly unknown[])[]> {
      const files = (await lake.manifest()).models[name]?.files ?? [];
      const list = files.map(({ path }) => `'${lake.path(path)}'`).join(', ');
      const { rows } = await engine.query(`SELECT * FROM read_parquet([${list}])`);
      return rows.map((row) => row.map(String));
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await warehouse[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
