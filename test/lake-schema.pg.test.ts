import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryEventLog } from '../src/adapters/memory/event-log.ts';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PostgresClient } from '../src/adapters/postgres/client.ts';
import { LakePart } from '../src/app/batch/lake-part.ts';
import { describeTables } from '../src/app/described-tables.ts';
import { inlineFiles } from '../src/batch/lake/inline-files.ts';
import { stateOf } from '../src/batch/lake/state.ts';
import { capturing, connectorConfig, recordsOf, until } from './capture.ts';
import { lakeTest } from './lake.ts';
import { temporaryPostgres } from './postgres.ts';

const TOPIC = 'test_server.public.t';

describe('a table altered while it is captured', { timeout: 60_000 }, () => {
  test('has each set of columns that it had, and its changes in those', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, amount numeric(10,2), note text)');
    await client.query("INSERT INTO t VALUES (1, 1.50, 'a')");
    const log = new MemoryEventLog();
    const options = { 'skipped.operations': 'none' };
    const { stop } = await capturing(server, log, options);
    const config = connectorConfig(server, options);
    await using t = await lakeTest(undefined, { log });
    await using running = t.start({
      isTable: (topic) => topic === TOPIC,
      describe: async (topic) =>
        (await describeTables(server, config, 'native')).find((table) => table.topic === topic),
    });
    let records = 1;
    /** Runs statements that make so many records, and has them written. */
    const after = async (made: number, ...statements: string[]) => {
      for (const statement of statements) await client.query(statement);
      records += made;
      await until(async () => (await recordsOf(log, TOPIC)).length >= records);
      const table = (await running.writer.flush()).tables[TOPIC];
      assert.ok(table);
      return table;
    };
    const typesOf = ({ schemas }: Awaited<ReturnType<typeof after>>) =>
      schemas.at(-1)?.columns.map(({ name, type }) => `${name} ${type}`);

    assert.deepEqual(typesOf(await after(0)), [
      'id INTEGER',
      'amount DECIMAL(10,2)',
      'note VARCHAR',
    ]);

    const added = await after(
      1,
      "ALTER TABLE t ADD state text DEFAULT 'new'",
      "INSERT INTO t VALUES (2, 2.50, 'b', 'made')",
    );
    assert.deepEqual(typesOf(added)?.at(-1), 'state VARCHAR');
    assert.equal(added.schemas.at(-1)?.columns.at(-1)?.missing, 'new');

    const retyped = await after(
      1,
      'ALTER TABLE t ALTER amount TYPE numeric(14,4)',
      'UPDATE t SET amount = 2.1234 WHERE id = 2',
    );
    assert.deepEqual(typesOf(retyped)?.[1], 'amount DECIMAL(14,4)');

    const dropped = await after(1, 'ALTER TABLE t DROP note', 'INSERT INTO t VALUES (3, 3, NULL)');
    assert.deepEqual(typesOf(dropped), ['id INTEGER', 'amount DECIMAL(14,4)', 'state VARCHAR']);

    const renamed = await after(
      1,
      'ALTER TABLE t RENAME state TO phase',
      "UPDATE t SET phase = 'x' WHERE id = 3",
    );
    assert.deepEqual(typesOf(renamed)?.at(-1), 'phase VARCHAR');

    const rekeyed = await after(
      1,
      "UPDATE t SET phase = 'none' WHERE phase IS NULL",
      'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (phase, id)',
      "INSERT INTO t VALUES (4, 4, 'y')",
    );
    assert.deepEqual(new Set(rekeyed.key), new Set(['phase', 'id']));
    assert.deepEqual(
      rekeyed.resets.map(({ offset, cause }) => [offset, cause]),
      [[records, 'key']],
    );
    assert.deepEqual(t.asked, [TOPIC]);

    const truncated = await after(1, 'TRUNCATE t');
    assert.deepEqual(
      truncated.resets.slice(1).map(({ offset, cause }) => [offset, cause]),
      [[records - 1, 'truncate']],
    );
    await stop();

    assert.deepEqual(
      await t.changes('__op, id, CAST(amount AS VARCHAR), note, state, phase', TOPIC),
      [
        ['r', 1, '1.5000', 'a', null, null],
        ['c', 2, '2.5000', 'b', 'made', null],
        ['u', 2, '2.1234', 'b', 'made', null],
        ['c', 3, '3.0000', null, null, null],
        ['u', 3, '3.0000', null, null, 'x'],
        ['c', 4, '4.0000', null, null, 'y'],
        ['t', null, null, null, null, null],
      ],
    );
    assert.deepEqual((await t.changes('__unfit', TOPIC)).flat().filter(Boolean), []);
  });

  test('keeps the values of columns that were renamed, and not those of a dropped namesake', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, a text, b text, gone text, last text)');
    await client.query("INSERT INTO t VALUES (1, 'a1', 'b1', 'g1', 'l1')");
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log);
    const config = connectorConfig(server);
    await using t = await lakeTest(undefined, { log });
    await using running = t.start({
      isTable: (topic) => topic === TOPIC,
      describe: async (topic) =>
        (await describeTables(server, config, 'native')).find((table) => table.topic === topic),
    });
    let records = 1;
    const state = async (...statements: string[]) => {
      for (const statement of statements) await client.query(statement);
      await until(async () => (await recordsOf(log, TOPIC)).length >= records);
      records += 1;
      const table = (await running.writer.flush()).tables[TOPIC];
      assert.ok(table);
      const { rows } = await t.engine.query(
        `SELECT CAST(to_json(s) AS VARCHAR) FROM (${inlineFiles(stateOf(t.lake, table))}) s ORDER BY id`,
      );
      return rows.map(([row]) => JSON.parse(row as string) as unknown);
    };
    const atSource = async () =>
      (await client.query('SELECT to_json(t) AS row FROM t ORDER BY id')).map(
        ({ row }) => JSON.parse(row ?? '') as unknown,
      );

    assert.deepEqual(await state(), await atSource());
    const renamed = await state(
      'ALTER TABLE t RENAME last TO final',
      "INSERT INTO t VALUES (2, 'a2', 'b2', 'g2', 'f2')",
    );
    assert.deepEqual(renamed, await atSource());
    const swapped = await state(
      'ALTER TABLE t RENAME a TO tmp',
      'ALTER TABLE t RENAME b TO a',
      'ALTER TABLE t RENAME tmp TO b',
      "INSERT INTO t (id, a, b) VALUES (3, 'a3', 'b3')",
    );
    assert.deepEqual(swapped, await atSource());
    const anew = await state(
      'ALTER TABLE t DROP gone',
      "ALTER TABLE t ADD gone text DEFAULT 'new'",
      "INSERT INTO t (id, gone) VALUES (4, 'g4')",
    );
    assert.deepEqual(anew, await atSource());
    assert.deepEqual(t.asked, []);
    await stop();
  });

  test('is copied again where its rows got values that no record tells', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, amount numeric(10,2), kind text)');
    await client.query("INSERT INTO t VALUES (1, 1.50, 'k1'), (2, 2.50, 'k2')");
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log);
    const config = connectorConfig(server);
    await using t = await lakeTest(undefined, { log });
    await using running = t.start({
      isTable: (topic) => topic === TOPIC,
      describe: async (topic) =>
        (await describeTables(server, config, 'native')).find((table) => table.topic === topic),
    });
    let records = 3;
    const askedAfter = async (statement: string): Promise<number> => {
      const before = t.asked.length;
      await client.query(statement);
      await client.query('UPDATE t SET id = id WHERE id = 1');
      await until(async () => (await recordsOf(log, TOPIC)).length >= records);
      await running.writer.flush();
      records += 1;
      return t.asked.length - before;
    };
    await askedAfter('SELECT 1');
    const kindsAsNumbers = 'ALTER TABLE t ALTER kind TYPE int USING substr(kind, 2)::int';
    assert.deepEqual(
      [
        await askedAfter(kindsAsNumbers),
        await askedAfter('ALTER TABLE t ALTER kind TYPE bigint'),
        await askedAfter('ALTER TABLE t ALTER amount TYPE numeric(14,4)'),
        await askedAfter('ALTER TABLE t ADD plain text'),
        await askedAfter("ALTER TABLE t ADD told text DEFAULT 'all the same'"),
        await askedAfter('ALTER TABLE t ADD token uuid DEFAULT gen_random_uuid()'),
        await askedAfter('ALTER TABLE t ADD no int GENERATED ALWAYS AS IDENTITY'),
        await askedAfter('SELECT 1'),
      ],
      [1, 0, 0, 0, 0, 1, 1, 0],
    );
    await stop();
  });

  test('is copied again where a new lake finds rows of before a renaming in the log', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, a text, b text)');
    await client.query("INSERT INTO t VALUES (1, 'a1', 'b1')");
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log);
    const config = connectorConfig(server);
    await until(async () => (await recordsOf(log, TOPIC)).length >= 1);
    const write = async (): Promise<readonly string[]> => {
      await using t = await lakeTest(undefined, { log });
      await t.write({
        isTable: (topic) => topic === TOPIC,
        describe: async (topic) =>
          (await describeTables(server, config, 'native')).find((table) => table.topic === topic),
      });
      return t.asked;
    };
    assert.deepEqual(await write(), []);
    await client.query('ALTER TABLE t RENAME a TO c');
    assert.deepEqual(await write(), [TOPIC]);
    await stop();
  });

  test('has no row of a table of that name that was dropped', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, note text)');
    await client.query("INSERT INTO t VALUES (1, 'old'), (2, 'old')");
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log, { 'publication.autocreate.mode': 'all_tables' });
    const config = connectorConfig(server);
    const isTable = (topic: string) => topic === TOPIC;
    const describe = async (topic: string) =>
      (await describeTables(server, config, 'native')).find((table) => table.topic === topic);
    await using t = await lakeTest(undefined, { log });
    await until(async () => (await recordsOf(log, TOPIC)).length >= 2);
    await t.write({ isTable, describe });
    await client.query('DROP TABLE t');
    await client.query('CREATE TABLE t (id int PRIMARY KEY, note text)');
    await client.query("INSERT INTO t VALUES (2, 'new')");
    await until(async () => (await recordsOf(log, TOPIC)).length >= 3);
    await t.write({ isTable, describe });
    assert.deepEqual(t.asked, [TOPIC]);
    await client.query("INSERT INTO t VALUES (3, 'new')");
    await until(async () => (await recordsOf(log, TOPIC)).length >= 4);
    const table = (await t.write({ isTable, describe })).tables[TOPIC];
    assert.ok(table);
    const { rows } = await t.engine.query(inlineFiles(stateOf(t.lake, table)));
    // What came before it was noticed comes with the copy.
    assert.deepEqual(rows, [[3, 'new']]);
    assert.deepEqual(t.asked, [TOPIC]);
    await stop();
  });

  test('is told of when it was dropped, or renamed out of what is captured', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE kept (id int PRIMARY KEY)');
    await client.query('CREATE TABLE dropped (id int PRIMARY KEY)');
    await client.query('CREATE TABLE renamed (id int PRIMARY KEY)');
    for (const name of ['kept', 'dropped', 'renamed'])
      await client.query(`INSERT INTO ${name} VALUES (1)`);
    const log = new MemoryEventLog();
    const options = { 'table.include.list': 'public.kept,public.dropped,public.renamed' };
    const { stop } = await capturing(server, log, options);
    await using folder = await mkdtempDisposable(join(tmpdir(), 'millrace-gone-'));
    const told = Promise.withResolvers<readonly string[]>();
    const part: LakePart = new LakePart({
      places: {
        lake: { dir: join(folder.path, 'lake'), isNamed: true, flushMs: 60_000, retentionMs: 1 },
        batch: { intervalMs: 0, memory: '256MB', warehouse: { kind: 'duckdb' } },
      },
      log,
      connector: connectorConfig(server, options),
      connection: server,
      engine: 'native',
      requestCopy: () => Promise.reject(new Error('nothing was lost')),
      isInKafka: false,
      lookEveryMs: 10,
      onChange: () => {
        const gone = part.status()?.gone ?? [];
        if (gone.length === 2) told.resolve(gone);
      },
    });
    for (const name of ['kept', 'dropped', 'renamed'])
      await until(async () => (await recordsOf(log, `test_server.public.${name}`)).length >= 1);
    const ending = new AbortController();
    const ended = part.run(ending.signal);
    await until(async () => part.status()?.rows === 3);
    assert.equal(part.status()?.gone, undefined);
    await client.query('DROP TABLE dropped');
    await client.query('ALTER TABLE renamed RENAME TO other');
    assert.deepEqual((await told.promise).toSorted(), ['public.dropped', 'public.renamed']);
    ending.abort();
    await ended;
    await stop();
  });

  test('keeps the values of columns that were renamed again before anybody looked', async () => {
    await using server = await temporaryPostgres();
    await using client = await PostgresClient.connect(server);
    await client.query('CREATE TABLE t (id int PRIMARY KEY, a text, b text)');
    await client.query("INSERT INTO t VALUES (1, 'a1', 'b1'), (2, 'a2', 'b2')");
    const log = new MemoryEventLog();
    const { stop } = await capturing(server, log);
    const config = connectorConfig(server);
    await using t = await lakeTest(undefined, { log });
    await using running = t.start({
      isTable: (topic) => topic === TOPIC,
      describe: async (topic) =>
        (await describeTables(server, config, 'native')).find((table) => table.topic === topic),
    });
    await until(async () => (await recordsOf(log, TOPIC)).length >= 2);
    await running.writer.flush();
    const statements = [
      'ALTER TABLE t ADD n int DEFAULT 7',
      'UPDATE t SET n = 8 WHERE id = 1',
      'ALTER TABLE t RENAME a TO c',
      "INSERT INTO t VALUES (3, 'a3', 'b3', 3)",
      'ALTER TABLE t RENAME b TO a',
      "INSERT INTO t VALUES (4, 'a4', 'b4', 4)",
      'ALTER TABLE t RENAME c TO b',
      "INSERT INTO t VALUES (5, 'a5', 'b5', 5)",
      'ALTER TABLE t RENAME n TO m',
      'ALTER TABLE t ADD last text',
      "INSERT INTO t VALUES (6, 'a6', 'b6', 6, 'l6')",
    ];
    for (const statement of statements) await client.query(statement);
    await until(async () => (await recordsOf(log, TOPIC)).length >= 7);
    const table = (await running.writer.flush()).tables[TOPIC];
    assert.ok(table);
    const { rows } = await t.engine.query(
      `SELECT CAST(to_json(s) AS VARCHAR) FROM (${inlineFiles(stateOf(t.lake, table))}) s ORDER BY id`,
    );
    assert.deepEqual(
      rows.map(([row]) => JSON.parse(row as string) as unknown),
      (await client.query('SELECT to_json(t) AS row FROM t ORDER BY id')).map(
        ({ row }) => JSON.parse(row ?? '') as unknown,
      ),
    );
    await stop();
  });
});
