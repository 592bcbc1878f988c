import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  append,
  event,
  LAKE_DEAD,
  lakeTest,
  type LakeTest,
  MESSAGES,
  NOON_MS,
  ORDERS,
  ordersTable,
} from '../../../test/lake.ts';
import fc from 'fast-check';
import { smallDisk } from '../../../test/small-disk.ts';
import { contents, headersOf } from '../../../test/stream.ts';
import { MemoryEventLog } from '../../adapters/memory/event-log.ts';
import { MillraceError, remedyFor } from '../../domain/errors.ts';
import type { Row } from '../../domain/envelope.ts';
import type { Manifest } from './manifest.ts';

const TABLE = ordersTable({ total: 'numeric(10,2)' });

const created = (after: Row, source = {}) => event('c', { after }, source);

function tableOf({ tables }: Manifest, topic = ORDERS) {
  const table = tables[topic];
  assert.ok(table);
  return table;
}

async function filesOf(t: LakeTest): Promise<string[]> {
  const entries = await readdir(t.lake.path('changes'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe('the lake writer', () => {
  test('writes each change once, with its place, over any number of turns', async () => {
    await using t = await lakeTest(TABLE, { partitions: 2 });
    await append(t.log, [created({ id: 1, total: '1.50' })]);
    await t.write();
    await append(t.log, [
      event('u', { after: { id: 1, total: '2.00' } }, { txId: 2, lsn: 9, ts_ms: NOON_MS + 5 }),
      { ...event('d', { before: { id: 2, total: null } }), partition: 1 },
      { key: { id: 2 }, value: null, partition: 1 },
    ]);
    const table = tableOf(await t.write());
    assert.deepEqual(await t.changes('id, total, __op, __partition, __offset, __tx, __lsn'), [
      [1, '1.50', 'c', 0, 0, 1, 7],
      [1, '2.00', 'u', 0, 1, 2, 9],
      [2, null, 'd', 1, 0, 1, 7],
    ]);
    assert.deepEqual(table.offsets, { 0: 2, 1: 2 });
    assert.deepEqual(table.key, ['id']);
    assert.deepEqual(table.changes[1]?.offsets, { 0: [1, 1], 1: [0, 0] });
    assert.deepEqual(
      [table.changes[1]?.minTimeMs, table.changes[1]?.maxTimeMs],
      [NOON_MS, NOON_MS + 5],
    );
  });

  test('reads a log whose offsets have gaps', async () => {
    await using log = new MemoryEventLog({ markers: true });
    await log.createTopics([{ name: ORDERS, partitions: 1, cleanup: 'delete' }]);
    await using t = await lakeTest(TABLE, { log });
    for (const id of [1, 2]) {
      await append(t.log, [created({ id, total: '1.00' })]);
      assert.equal(tableOf(await t.write()).offsets[0], id * 2);
    }
    assert.deepEqual(await t.changes('id, __offset'), [
      [1, 0],
      [2, 2],
    ]);
  });

  test('commits nothing when there is nothing new', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.50' })]);
    const { version } = await t.write();
    assert.equal((await t.write()).version, version);
  });

  test('puts the changes of each day into a file of its own', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [
      created({ id: 1, total: '1' }, { ts_ms: Date.UTC(2026, 10, 23, 23, 59, 59, 999) }),
      created({ id: 2, total: '2' }, { ts_ms: Date.UTC(2026, 10, 24) }),
    ]);
    const { changes } = tableOf(await t.write());
    assert.deepEqual(
      changes.map(({ day, rows, offsets }) => [day, rows, offsets]),
      [
        ['2026-11-23', 1, { 0: [0, 0] }],
        ['2026-11-24', 1, { 0: [1, 1] }],
      ],
    );
    assert.match(changes[1]?.path ?? '', /^changes\/shop\.public\.orders\/day=2026-11-24\//);
    assert.deepEqual(await t.changes('id'), [[1], [2]]);
  });

  test('cuts a long stretch into files, all of one commit', async () => {
    await using t = await lakeTest(TABLE);
    const rows = Array.from({ length: 100 }, (_, id) => created({ id, total: `${id}.00` }));
    await append(t.log, rows);
    const manifest = await t.write({ fileBytes: 10_000 });
    assert.equal(manifest.version, 1);
    assert.ok(tableOf(manifest).changes.length > 2);
    assert.deepEqual(
      (await t.changes('id')).flat(),
      rows.map((_, id) => id),
    );
  });

  test('answers a request with all that was in the log when it came', async () => {
    await using t = await lakeTest(TABLE);
    await using running = t.start();
    for (let id = 0; id < 5; id += 1) {
      await append(t.log, [created({ id, total: '1.00' })]);
      assert.equal(tableOf(await running.writer.flush()).offsets[0], id + 1);
    }
  });

  test('keeps what its column cannot hold beside it, and what the source left out', async () => {
    await using t = await lakeTest(ordersTable({ total: 'numeric(10,2)', note: 'text' }));
    await append(t.log, [
      created({ id: 1, total: 'NAN', note: 'a' }),
      event('u', { after: { id: 1, total: '1.00', note: '__debezium_unavailable_value' } }),
    ]);
    const table = tableOf(await t.write());
    assert.deepEqual(await t.changes('total, note, __unfit, __unavailable'), [
      [null, 'a', '{"total":"NaN"}', null],
      ['1.00', null, null, '["note"]'],
    ]);
    assert.deepEqual(table.changes[0]?.unavailable, ['note']);
  });

  test('writes an update of a table without key as two rows', async () => {
    await using t = await lakeTest({ ...TABLE, key: [] });
    const [before, after] = [
      { id: 1, total: '1.00' },
      { id: 1, total: '2.00' },
    ];
    await append(t.log, [
      { ...created(before), key: null },
      { ...event('u', { before, after }), key: null },
    ]);
    const table = tableOf(await t.write());
    assert.deepEqual(table.key, []);
    assert.deepEqual(await t.changes('__offset, __op, total'), [
      [0, 'c', '1.00'],
      [1, 'd', '1.00'],
      [1, 'c', '2.00'],
    ]);
    assert.equal(table.changes[0]?.rows, 3);
  });

  test('tells where a truncate removed all rows', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1' }), event('t', {})]);
    assert.deepEqual(tableOf(await t.write()).resets, [
      { partition: 0, offset: 1, at: 1, timeMs: NOON_MS, cause: 'truncate' },
    ]);
    assert.deepEqual(await t.changes('__op, id'), [
      ['c', 1],
      ['t', null],
    ]);
  });

  test('writes logical messages as text, and what is no text as it came', async () => {
    await using t = await lakeTest(TABLE);
    const message = (content: Buffer) => {
      const source = { ts_ms: NOON_MS, txId: 5, lsn: 6, schema: '', table: '' };
      const text = content.toString('base64');
      const value = { op: 'm', source, message: { prefix: 'audit', content: text } };
      return { topic: MESSAGES, key: { prefix: 'audit' }, value };
    };
    await append(t.log, [message(Buffer.from('žluťoučký 🐎')), message(Buffer.from([255, 0]))]);
    await t.write();
    assert.deepEqual(await t.changes('prefix, content, __op, __tx, __unfit', MESSAGES), [
      ['audit', 'žluťoučký 🐎', 'm', 5, null],
      ['audit', null, 'm', 5, '{"content":"/wA="}'],
    ]);
  });

  test('has columns of a table without rows, too', async () => {
    await using t = await lakeTest(TABLE);
    const { schemas, key, changes } = tableOf(await t.write());
    assert.deepEqual(
      schemas[0]?.columns.map(({ name, type }) => [name, type]),
      [
        ['id', 'INTEGER'],
        ['total', 'DECIMAL(10,2)'],
      ],
    );
    assert.deepEqual([key, changes], [['id'], []]);
  });

  test('takes names that differ by case, and such as the lake has itself', async () => {
    await using t = await lakeTest(
      ordersTable({ Id: 'integer', __op: 'text', 'we"ird, ~/name': 'text' }),
    );
    await append(t.log, [created({ id: 1, Id: 2, __op: 'x', 'we"ird, ~/name': 'y' })]);
    const { schemas } = tableOf(await t.write());
    assert.deepEqual(
      schemas[0]?.columns.map(({ name }) => name),
      ['id', 'Id_2', 'column__op', 'we"ird, ~/name'],
    );
    assert.deepEqual(await t.changes('id, "Id_2", column__op, "we""ird, ~/name"'), [
      [1, 2, 'x', 'y'],
    ]);
  });
});

describe('columns that change', () => {
  const before = ordersTable({ total: 'numeric(10,2)' });
  const after = ordersTable({ total: 'numeric(10,2)', note: 'text' });

  test('lose no value, however they come and go', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const set = fc.subarray(names, { minLength: 0 });
    const changes = fc.array(
      fc.record({ set, partition: fc.nat(1), isFlushed: fc.boolean() }, { noNullPrototype: true }),
      { minLength: 1, maxLength: 12 },
    );
    const known = fc.option(set, { nil: undefined });
    await fc.assert(
      fc.asyncProperty(changes, known, async (given, today) => {
        const columns = Object.fromEntries((today ?? []).map((name) => [name, 'text']));
        const table = today === undefined ? undefined : ordersTable(columns);
        await using t = await lakeTest(table, { partitions: 2 });
        const expected: unknown[][] = [[], []];
        for (const [id, { set: own, partition, isFlushed }] of given.entries()) {
          const row = { id, ...Object.fromEntries(own.map((name) => [name, `${name}${id}`])) };
          await append(t.log, [{ ...created(row), partition }]);
          expected[partition]?.push(row);
          if (isFlushed) await t.write();
        }
        const { schemas, changes: files } = tableOf(await t.write());
        const written = files.flatMap(({ schema }) => schemas[schema]?.columns ?? []);
        const all = new Set(written.map(({ name }) => name));
        const found = await t.changes([...all].join(', '));
        const rows = found.map((values) =>
          Object.fromEntries(
            [...all].flatMap((name, at) => (values[at] === null ? [] : [[name, values[at]]])),
          ),
        );
        assert.deepEqual(rows, expected.flat());
      }),
      { numRuns: 8 },
    );
  });

  test('make another schema, in the middle of a stretch, too', async () => {
    const withDefault = {
      ...after,
      columns: after.columns.map((column) =>
        column.name === 'note' ? { ...column, missing: 'none' } : column,
      ),
    };
    await using t = await lakeTest(withDefault);
    await append(t.log, [
      created({ id: 1, total: '1.00' }),
      created({ id: 2, total: '2.00', note: 'new' }),
    ]);
    const { schemas, changes } = tableOf(await t.write());
    assert.deepEqual(schemas.at(-1)?.columns.at(-1), {
      name: 'note',
      source: 'note',
      type: 'VARCHAR',
      sqlType: 'text',
      missing: 'none',
    });
    const namesOf = (id: number) => schemas[id]?.columns.map(({ name }) => name);
    assert.equal(schemas.length, 3);
    assert.deepEqual(
      changes.map(({ schema }) => namesOf(schema)),
      [
        ['id', 'total'],
        ['id', 'total', 'note'],
      ],
    );
    assert.deepEqual(await t.changes('id, note'), [
      [1, null],
      [2, 'new'],
    ]);
  });

  test('are the last schema again when a column goes', async () => {
    let today = after;
    await using t = await lakeTest(() => today);
    await append(t.log, [created({ id: 1, total: '1.00', note: 'a' })]);
    await t.write();
    today = before;
    await append(t.log, [created({ id: 2, total: '2.00' })]);
    const { schemas } = tableOf(await t.write());
    assert.deepEqual(
      schemas.map(({ columns }) => columns.map(({ name }) => name)),
      [
        ['id', 'total', 'note'],
        ['id', 'total'],
      ],
    );
  });

  test('keep the values of a column that the catalogue has forgotten', async () => {
    await using t = await lakeTest(before);
    await append(t.log, [
      created({ id: 1, total: '1.00', n: 5, f: 1.5, b: true, s: 'x', o: { a: [1] } }),
    ]);
    const { schemas, changes } = tableOf(await t.write());
    assert.deepEqual(
      schemas[changes[0]?.schema ?? -1]?.columns.map(({ type }) => type),
      ['INTEGER', 'DECIMAL(10,2)', 'BIGINT', 'DOUBLE', 'BOOLEAN', 'VARCHAR', 'VARCHAR'],
    );
    assert.deepEqual(await t.changes('n, f, b, s, o'), [[5, 1.5, true, 'x', '{"a":[1]}']]);
  });

  test('keep those of a table that is gone', async () => {
    await using t = await lakeTest(undefined);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    const { schemas, name } = tableOf(await t.write());
    assert.equal(name, 'orders');
    assert.deepEqual(
      schemas[0]?.columns.map(({ type }) => type),
      ['BIGINT', 'VARCHAR'],
    );
  });

  test('are written with their new types once values do not fit the old', async () => {
    let today = ordersTable({ total: 'numeric(10,2)', size: 'integer' });
    await using t = await lakeTest(() => today);
    await using running = t.start();
    await append(t.log, [created({ id: 1, total: '1.50', size: 1 })]);
    await running.writer.flush();
    today = ordersTable({ total: 'numeric(12,4)', size: 'text' });
    await append(t.log, [
      created({ id: 2, total: '1.5000', size: '007' }),
      created({ id: 3, total: '1.2345', size: '7' }),
    ]);
    const { schemas } = tableOf(await running.writer.flush());
    assert.deepEqual(
      schemas.map(({ columns }) => columns.map(({ type }) => type)),
      [
        ['INTEGER', 'DECIMAL(10,2)', 'INTEGER'],
        ['INTEGER', 'DECIMAL(12,4)', 'VARCHAR'],
      ],
    );
    assert.deepEqual(
      await t.changes('id, CAST(total AS VARCHAR), CAST(size AS VARCHAR), __unfit'),
      [
        [1, '1.5000', '1', null],
        [2, '1.5000', '007', null],
        [3, '1.2345', '7', null],
      ],
    );
  });

  test('may change twice in a short time', async () => {
    let today = ordersTable({ size: 'text' });
    await using t = await lakeTest(() => today);
    await using running = t.start();
    await append(t.log, [created({ id: 1, size: '1' })]);
    await running.writer.flush();
    for (const [id, sqlType, size] of [
      [2, 'integer', 2],
      [3, 'numeric(12,4)', '1.2345'],
      [4, 'numeric(12,6)', '1.234567'],
    ] as const) {
      today = ordersTable({ size: sqlType });
      await append(t.log, [created({ id, size })]);
      await running.writer.flush();
    }
    assert.deepEqual(await t.changes('CAST(size AS VARCHAR), __unfit'), [
      ['1', null],
      ['2', null],
      ['1.2345', null],
      ['1.234567', null],
    ]);
  });

  test('include those of the key', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await append(t.log, [{ ...created({ id: 1, total: '1.00' }), key: { total: '1.00', id: 1 } }]);
    assert.deepEqual(tableOf(await t.write()).key, ['total', 'id']);
  });
});

describe('another key', () => {
  test('has the table copied, for rows of before are told apart by what they may not have', async () => {
    await using t = await lakeTest(TABLE, { partitions: 2 });
    await append(t.log, [created({ id: 1, total: '1.00' }), created({ id: 2, total: '1.00' })]);
    await t.write();
    assert.deepEqual(t.asked, []);
    await append(t.log, [{ ...created({ id: 1, total: '2.00', no: 7 }), key: { no: 7 } }]);
    const { key, resets } = tableOf(await t.write());
    assert.deepEqual(key, ['no']);
    assert.deepEqual(
      resets.map(({ partition, offset, at, cause }) => [partition, offset, at, cause]),
      [[0, 3, 2, 'key']],
    );
    await append(t.log, [{ ...created({ id: 1, total: '2.00', no: 8 }), key: { no: 8 } }]);
    assert.equal(tableOf(await t.write()).resets.length, 1);
    assert.deepEqual(t.asked, [ORDERS]);
  });
});

describe('a table that is being copied', () => {
  const NONE = new Set<string>();
  const ITS_OWN = new Set([ORDERS]);
  const copied = (id: number) => event('r', { after: { id, total: '1.00' } });
  const causeIn = (manifest: Manifest) => tableOf(manifest).incomplete?.cause;

  test('is incomplete until all that the copy brought is in the lake', async () => {
    await using t = await lakeTest(TABLE);
    assert.equal(causeIn(await t.write({ copiesLeft: async () => ITS_OWN })), 'copy');
    await append(t.log, [copied(1)]);
    assert.equal(causeIn(await t.write({ copiesLeft: async () => ITS_OWN })), 'copy');
    await append(t.log, [copied(2)]);
    assert.equal(causeIn(await t.write({ copiesLeft: async () => NONE })), undefined);
  });

  test('is complete without another record, too', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [copied(1)]);
    assert.equal(causeIn(await t.write({ copiesLeft: async () => ITS_OWN })), 'copy');
    assert.equal(causeIn(await t.write({ copiesLeft: async () => NONE })), undefined);
  });

  test('is incomplete when the copy begins while the writer looks', async () => {
    await using t = await lakeTest(TABLE);
    const looks = [NONE, ITS_OWN];
    await append(t.log, [copied(1)]);
    const copiesLeft = async () => looks.shift();
    assert.equal(causeIn(await t.write({ copiesLeft })), 'copy');
  });

  test('is incomplete after a gap, and after another key, until nothing is left to copy', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await append(
      t.log,
      [2, 3].map((id) => created({ id, total: '1.00' })),
    );
    const log = startingAt(t.log, 2);
    const copiesLeft = async () => NONE;
    assert.equal(causeIn(await t.write({ log, copiesLeft })), 'gap');
    const others = async () => new Set(['shop.public.others']);
    assert.equal(causeIn(await t.write({ log, copiesLeft: others })), 'gap');
    assert.equal(causeIn(await t.write({ log, copiesLeft })), undefined);

    await append(t.log, [{ ...created({ id: 1, total: '2.00', no: 7 }), key: { no: 7 } }]);
    assert.equal(causeIn(await t.write({ log, copiesLeft })), 'key');
    assert.equal(causeIn(await t.write({ log, copiesLeft: others })), 'key');
    assert.equal(causeIn(await t.write({ log, copiesLeft })), undefined);
  });

  test('counts as complete where nobody can tell what is left', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [copied(1)]);
    assert.equal(causeIn(await t.write({ copiesLeft: async () => ITS_OWN })), 'copy');
    assert.equal(causeIn(await t.write({ copiesLeft: async () => undefined })), undefined);
  });
});

describe('a copy of the whole table', () => {
  const copied = (id: number, snapshot: string, ms = NOON_MS) =>
    event('r', { after: { id, total: '1.00' } }, { snapshot, ts_ms: ms });

  test('says that the rows of before are gone, once it has ended', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 9, total: '1.00' })]);
    await t.write();
    await append(t.log, [copied(1, 'first', NOON_MS + 10), copied(2, 'true', NOON_MS + 10)]);
    const during = tableOf(await t.write());
    assert.deepEqual(during.resets, []);
    assert.deepEqual(during.copying, { offsets: { 0: 1 }, timeMs: NOON_MS + 10 });
    await append(t.log, [
      copied(3, 'last', NOON_MS + 10),
      created({ id: 4, total: '1.00' }, { ts_ms: NOON_MS + 20 }),
    ]);
    const after = tableOf(await t.write());
    assert.equal(after.copying, undefined);
    assert.deepEqual(after.resets, [
      { partition: 0, offset: 1, at: 3, timeMs: NOON_MS + 10, cause: 'copy' },
    ]);
  });

  test('holds for every partition', async () => {
    await using t = await lakeTest(TABLE, { partitions: 3 });
    await append(
      t.log,
      [0, 1, 2].map((partition) => ({ ...created({ id: partition, total: '1' }), partition })),
    );
    await t.write();
    const late = NOON_MS + 50;
    await append(t.log, [
      { ...copied(1, 'first_in_data_collection', late), partition: 1 },
      { ...copied(0, 'last_in_data_collection', late), partition: 0 },
      { ...created({ id: 5, total: '1' }, { ts_ms: late + 1 }), partition: 2 },
    ]);
    assert.deepEqual(
      tableOf(await t.write()).resets.map(({ partition, offset }) => [partition, offset]),
      [
        [0, 1],
        [1, 1],
        [2, 1],
      ],
    );
  });

  test('of one row has but one mark, which what is streamed ends', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 9, total: '1.00' })]);
    await t.write();
    await append(t.log, [copied(1, 'first', NOON_MS + 10)]);
    await t.write();
    await append(t.log, [created({ id: 4, total: '1.00' }, { ts_ms: NOON_MS + 20 })]);
    assert.deepEqual(
      tableOf(await t.write()).resets.map(({ offset, timeMs }) => [offset, timeMs]),
      [[1, NOON_MS + 20]],
    );
  });

  test('is no reset when it is the first of all, or incremental', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [copied(1, 'first'), copied(2, 'last')]);
    assert.deepEqual(tableOf(await t.write()).resets, []);
    await append(t.log, [
      event(
        'r',
        { after: { id: 1, total: '1' } },
        { snapshot: 'incremental', txId: null, lsn: null },
      ),
    ]);
    assert.deepEqual(tableOf(await t.write()).resets, []);
  });
});

describe('a record that is no change event', () => {
  test('goes to the dead letters once, and the others are written', async () => {
    await using t = await lakeTest(TABLE);
    const bad: unknown[] = [
      '{"op":',
      '{}',
      '5',
      Buffer.from([0x22, 0xff, 0x22]),
      { op: 'x', source: { table: 'orders', ts_ms: 1 }, after: { id: 1 } },
      { op: 'c', source: { table: 'orders', ts_ms: 1 }, before: null, after: null },
      { op: 'c', source: { table: 'orders', ts_ms: 1 }, before: null, after: [1] },
      '{"op":"c","source":{"table":"orders","ts_ms":1},"before":null,"after":{"id":1,"id":2,"total":"1"}}',
    ];
    await append(t.log, [
      created({ id: 1, total: '1.00' }),
      ...bad.map((value) => ({ value })),
      created({ id: 2, total: '2.00' }),
    ]);
    await t.write();
    assert.deepEqual(await t.changes('id'), [[1], [2]]);
    const letters = await contents(t.log, LAKE_DEAD);
    const facts = letters.map(headersOf);
    assert.deepEqual(
      facts.map((each) => each['__connect.errors.offset']),
      ['1', '2', '3', '4', '5', '6', '7', '8'],
    );
    assert.match(facts[0]?.['__connect.errors.exception.message'] ?? '', /^not JSON/);
    assert.match(facts[1]?.['__connect.errors.exception.message'] ?? '', /no op$/);
    assert.match(facts[7]?.['__connect.errors.exception.message'] ?? '', /a column stands twice/);
    assert.deepEqual(letters[3]?.value, Buffer.from([0x22, 0xff, 0x22]));
    assert.equal(t.statuses.at(-1)?.deadLetters, 8);
  });

  test('is put aside no second time when the writer begins again', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [{ value: '{' }]);
    await t.write();
    await rm(t.lake.path('manifests'), { recursive: true });
    await using again = await lakeTest(TABLE, { log: t.log, dir: join(t.dir, 'other') });
    await again.write();
    assert.equal((await contents(t.log, LAKE_DEAD)).length, 1);
  });
});

describe('when something is in the way', () => {
  test('one writer works on a lake at a time', async () => {
    await using t = await lakeTest(TABLE);
    await using first = t.start();
    await first.writer.flush();
    await using second = t.start();
    await assert.rejects(second.ended, { code: 'lake_busy' });
  });

  test('a log that was made anew is told from the one of before, though it is longer', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await using log = new MemoryEventLog();
    await log.createTopics([{ name: ORDERS, partitions: 1, cleanup: 'delete' }]);
    const rows = [7, 8, 9].map((id) => created({ id, total: '1.00' }, { ts_ms: NOON_MS + id }));
    await append(log, rows);
    const before = await t.lake.manifest();
    await assert.rejects(t.write({ log }), { code: 'lake_of_other_log' });
    assert.deepEqual(await t.lake.manifest(), before);
  });

  test('who asks a writer that has ended is told so, and does not wait for ever', async () => {
    await using t = await lakeTest(TABLE);
    await using first = t.start();
    await first.writer.flush();
    await using second = t.start();
    await assert.rejects(second.ended, { code: 'lake_busy' });
    await assert.rejects(second.writer.flush(), /has ended/);
  });

  test('another writer that was here meanwhile is told of, and nothing is doubled', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await append(t.log, [created({ id: 2, total: '2.00' })]);
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const slow = slowed(t.log, begun.resolve, go.promise);
    await using zombie = t.start({ log: slow, lake: withoutLock(t.lake) });
    await begun.promise;
    await t.write();
    go.resolve();
    await assert.rejects(zombie.ended, { code: 'lake_conflict' });
    assert.deepEqual(await t.changes('id'), [[1], [2]]);
    assert.deepEqual(tableOf(await t.write()).offsets, { 0: 2 });
  });

  test('files of a writer that died are removed by the next', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    const [file] = tableOf(await t.write()).changes;
    const dir = join(t.lake.path(file?.path ?? ''), '..');
    await writeFile(join(dir, 'append-dead.parquet'), 'PAR1');
    await writeFile(join(dir, 'of-compaction.parquet'), 'PAR1');
    await writeFile(t.lake.path('writing/half.ndjson'), '{"o":');
    await t.write();
    assert.deepEqual(
      new Set(await filesOf(t)),
      new Set([file?.path.split('/').at(-1), 'of-compaction.parquet']),
    );
    assert.deepEqual(await readdir(t.lake.path('writing')), []);
  });

  test('a copy is asked for where the log has removed records, and the gap is known', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await append(
      t.log,
      [2, 3, 4].map((id) => created({ id, total: '1.00' })),
    );
    const log = startingAt(t.log, 3);
    const table = tableOf(await t.write({ log }));
    assert.deepEqual(
      table.gaps?.map(({ partition, from, to }) => [partition, from, to]),
      [[0, 1, 3]],
    );
    assert.deepEqual(
      table.resets.map(({ offset, at, cause }) => [offset, at, cause]),
      [[3, 3, 'gap']],
    );
    assert.deepEqual(await t.changes('id'), [[1], [4]]);
    await t.write({ log });
    assert.deepEqual(t.asked, [ORDERS]);
  });

  test('a log that is not the one of before is refused', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await using log = new MemoryEventLog();
    await log.createTopics([{ name: ORDERS, partitions: 1, cleanup: 'delete' }]);
    await assert.rejects(t.write({ log }), { code: 'lake_of_other_log' });
  });

  test('a damaged manifest stops the writer until it is gone, and asks for no restart', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    const { version } = await t.write();
    await append(t.log, [created({ id: 2, total: '1.00' })]);
    const damaged = t.lake.path(`manifests/${String(version + 1).padStart(12, '0')}.json`);
    await writeFile(damaged, '{"format":1,"ver');
    await using running = t.start();
    const refused = await running.ended.catch((error: unknown) => error);
    assert.equal((refused as MillraceError).code, 'lake_damaged');
    assert.equal(remedyFor(refused).retry, 'auto');
    await rm(damaged);
    assert.equal(tableOf(await t.write()).offsets[0], 2);
  });

  test('a request fails with what the writer failed of', async () => {
    await using t = await lakeTest(() => {
      throw new MillraceError('source_unreachable', {});
    });
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await assert.rejects(t.write(), { code: 'source_unreachable' });
    assert.equal(t.statuses.at(-1)?.state, 'failed');
    assert.equal(t.statuses.at(-1)?.lag, 1);
    assert.match(t.statuses.at(-1)?.problem ?? '', /^source_unreachable/);
  });

  test('a source that is away does not stop what has columns already', async () => {
    await using t = await lakeTest(TABLE);
    await append(t.log, [created({ id: 1, total: '1.00' })]);
    await t.write();
    await append(t.log, [created({ id: 2, total: '2.00' })]);
    const away = () => Promise.reject(new MillraceError('source_unreachable', {}));
    await t.write({ describe: away });
    assert.deepEqual(await t.changes('id'), [[1], [2]]);
  });
});

describe('a full disk', () => {
  test('is told of, leaves nothing half, and is gone on from', async (context) => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-full-'));
    await using removed = new AsyncDisposableStack();
    removed.defer(() => rm(dir, { recursive: true, force: true }));
    using disk = smallDisk(dir, '6m');
    if (disk === undefined) return context.skip('mounting takes root');
    await using t = await lakeTest(ordersTable({ note: 'text' }), { dir });
    await append(t.log, [created({ id: 0, note: 'small' })]);
    const { version } = await t.write();
    const hog = join(dir, 'hog');
    await writeFile(hog, Buffer.alloc(3 << 20));
    const note = (id: number) => randomBytes(40_000).toString('base64') + String(id);
    const rows = Array.from({ length: 60 }, (_, index) => index + 1);
    await append(
      t.log,
      rows.map((id) => created({ id, note: note(id) })),
    );
    await assert.rejects(t.write({ fileBytes: 1 << 20 }), { code: 'disk_full' });
    assert.equal((await t.lake.manifest()).version, version);
    assert.equal((await filesOf(t)).length, 1);
    await assert.rejects(t.write(), { code: 'disk_full' });
    await rm(hog);
    await t.write({ fileBytes: 1 << 18 });
    assert.deepEqual((await t.changes('id')).flat(), [0, ...rows]);
  });
});

describe('values', () => {
  test('of any length and script are kept', async () => {
    await using t = await lakeTest(ordersTable({ note: 'text' }));
    const notes = [
      'x'.repeat(10_000_000),
      `${'"\\\n\t\u0001'.repeat(1_000_000)}`,
      'žluťoučký 🐎 日本語 \u2028 \u0000',
      '',
      "'; DROP TABLE x; --",
    ];
    await append(
      t.log,
      notes.map((note, id) => created({ id, note })),
    );
    await t.write();
    assert.deepEqual((await t.changes('note')).flat(), notes);
  });

  test('may come in JSON of more than one line', async () => {
    await using t = await lakeTest(TABLE);
    const { value } = created({ id: 1, total: '1.00' });
    await append(t.log, [{ key: { id: 1 }, value: JSON.stringify(value, null, 2) }]);
    await t.write();
    assert.deepEqual(await t.changes('id, total'), [[1, '1.00']]);
  });
});

/** A log whose reads wait once, and say so. */
function slowed(log: LakeTest['log'], begun: () => void, go: Promise<void>): LakeTest['log'] {
  return new Proxy(log, {
    get(target, name) {
      if (name !== 'read') return bound(target, name);
      return async function* (...given: Parameters<typeof log.read>) {
        begun();
        await go;
        yield* target.read(...given);
      };
    },
  });
}

/** A log that has removed what stands before this offset. */
function startingAt(log: LakeTest['log'], start: number): LakeTest['log'] {
  return new Proxy(log, {
    get(target, name) {
      if (name !== 'offsets') return bound(target, name);
      return async (...given: Parameters<typeof log.offsets>) => ({
        ...(await target.offsets(...given)),
        start,
      });
    },
  });
}

/** A lake whose lock is on another machine. */
function withoutLock(lake: LakeTest['lake']): LakeTest['lake'] {
  return new Proxy(lake, {
    get: (target, name) =>
      name === 'lock' ? () => ({ [Symbol.dispose]: () => {} }) : bound(target, name),
  });
}

// Private fields are those of the target.
function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
}
