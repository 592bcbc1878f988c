import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { MillraceError } from '../../src/domain/errors.ts';
import { lsnOf } from '../../src/domain/lsn.ts';
import type { Lsn } from '../../src/domain/lsn.ts';
import { must } from '../../src/lib/must.ts';
import type { ChangeSource, CopyStream, Table, WalBatch } from '../../src/ports/change-source.ts';

/** A session of a client that changes the source. */
export type Session = AsyncDisposable &
  Readonly<{ query(sql: string): Promise<readonly Readonly<Record<string, string | null>>[]> }>;

/** An empty database of the tests' own. */
export type SourceFixture = AsyncDisposable &
  Readonly<{ open(): Promise<ChangeSource>; connect(): Promise<Session> }>;

const NEVER = new AbortController().signal;

const refusal = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

/** What every `ChangeSource` must do. Each test works in tables and with a slot of its own. */
export function changeSourceContract(name: string, prepare: () => Promise<SourceFixture>): void {
  describe(`${name} keeps the contract of ChangeSource`, { timeout: 60_000 }, () => {
    let fixture: SourceFixture;
    let source: ChangeSource;
    let session: Session;
    before(async () => {
      fixture = await prepare();
      source = await fixture.open();
      session = await fixture.connect();
    });
    after(async () => {
      await session?.[Symbol.asyncDispose]();
      await source?.[Symbol.asyncDispose]();
      await fixture?.[Symbol.asyncDispose]();
    });

    /** Creates a table from its columns and publishes it; gives it as the catalogue knows it. */
    const tableOf = async (name: string, columns: string): Promise<Table> => {
      await session.query(`CREATE TABLE ${name} (${columns})`);
      return must(await findTable(source, name), 'it was just created');
    };

    /** A published table of one integer key, and a slot, both called `name`. */
    const followed = async (name: string): Promise<Readonly<{ table: Table; start: Lsn }>> => {
      const table = await tableOf(name, 'id integer PRIMARY KEY');
      await source.ensurePublication(name, [table]);
      await using slot = await source.createSlot(name);
      return { table, start: slot.consistentPoint };
    };

    describe('catalogue', () => {
      test('identifies the server and where its log ends', async () => {
        const identity = await source.identify();
        const other = await source.identify();
        assert.match(identity.systemId, /^\d+$/);
        assert.ok(identity.timeline >= 1);
        assert.ok(identity.serverVersion >= 140_000);
        assert.equal(other.systemId, identity.systemId);
        assert.ok(identity.walEnd <= (await source.walInsertLsn()));
      });

      test('tells columns, key in key order and identity as they are', async () => {
        await session.query(`
          CREATE TABLE facts (a text, gone integer, "B c" varchar(7) NOT NULL, n numeric(10,2),
            g integer GENERATED ALWAYS AS (1) STORED, PRIMARY KEY ("B c", a));
          ALTER TABLE facts DROP COLUMN gone;
          ALTER TABLE facts REPLICA IDENTITY FULL`);
        const table = must(await findTable(source, 'facts'), 'it was just created');
        assert.deepEqual(table.columns, [
          { name: 'a', typeOid: 25, typeModifier: -1, typeName: 'text', isGenerated: false },
          {
            name: 'B c',
            typeOid: 1043,
            typeModifier: 11,
            typeName: 'character varying(7)',
            isGenerated: false,
          },
          {
            name: 'n',
            typeOid: 1700,
            typeModifier: 655_366,
            typeName: 'numeric(10,2)',
            isGenerated: false,
          },
          { name: 'g', typeOid: 23, typeModifier: -1, typeName: 'integer', isGenerated: true },
        ]);
        assert.deepEqual(table.primaryKey, ['B c', 'a']);
        assert.equal(table.replicaIdentity, 'full');
        assert.deepEqual(table.identityColumns, []);
        assert.equal(table.kind, 'table');
        assert.equal(table.estimatedRows, -1);
        assert.deepEqual(await source.table(table.oid), table);
      });

      test('tells the unique index that stands in for a primary key', async () => {
        const keyOf = async (statement: string) => {
          await session.query(statement);
          return (await findTable(source, 'unkeyed'))?.uniqueKey;
        };
        await session.query(
          'CREATE TABLE unkeyed (a integer NOT NULL, b text NOT NULL, c integer)',
        );
        assert.deepEqual(await keyOf('CREATE UNIQUE INDEX i1 ON unkeyed (c)'), []);
        assert.deepEqual(await keyOf('CREATE UNIQUE INDEX i2 ON unkeyed (lower(b))'), []);
        assert.deepEqual(await keyOf('CREATE UNIQUE INDEX i3 ON unkeyed (a) WHERE c > 0'), []);
        assert.deepEqual(await keyOf('CREATE INDEX i4 ON unkeyed (a)'), []);
        assert.deepEqual(await keyOf('CREATE UNIQUE INDEX i6 ON unkeyed (a)'), ['a']);
        assert.deepEqual(await keyOf('CREATE UNIQUE INDEX i5 ON unkeyed (b, a) INCLUDE (c)'), [
          'b',
          'a',
        ]);
        assert.deepEqual(await keyOf('ALTER TABLE unkeyed ADD PRIMARY KEY (a)'), []);
      });

      test('tells the columns by which the WAL identifies rows', async () => {
        const identityOf = async (alter: string) => {
          await session.query(alter);
          return (await findTable(source, 'identified'))?.identityColumns;
        };
        const create = `CREATE TABLE identified (a integer, b text, c integer NOT NULL, PRIMARY KEY (b, a), UNIQUE (c) INCLUDE (b))`;
        assert.deepEqual(await identityOf(create), ['b', 'a']);
        const alter = 'ALTER TABLE identified REPLICA IDENTITY';
        assert.deepEqual(await identityOf(`${alter} USING INDEX identified_c_b_key`), ['c']);
        assert.deepEqual(await identityOf(`${alter} NOTHING`), []);
      });

      test('lists by name what can be followed, and nothing else', async () => {
        await session.query(`
          CREATE SCHEMA listed;
          CREATE TABLE listed.b (id integer);
          CREATE TABLE listed.a (id integer);
          CREATE TABLE listed.parts (id integer) PARTITION BY RANGE (id);
          CREATE TABLE listed.part PARTITION OF listed.parts DEFAULT;
          CREATE UNLOGGED TABLE listed.unlogged (id integer);
          CREATE TEMPORARY TABLE temporary (id integer);
          CREATE VIEW listed.view AS SELECT 1`);
        const tables = await source.tables();
        assert.deepEqual(
          tables.filter((table) => table.schema === 'listed').map(({ name, kind }) => [name, kind]),
          [
            ['a', 'table'],
            ['b', 'table'],
            ['part', 'table'],
            ['parts', 'partitioned'],
          ],
        );
        assert.equal(await findTable(source, 'temporary'), undefined);
        assert.ok(tables.every((table) => !/^pg_|^information_schema$/.test(table.schema)));
      });

      test('forgets a table that was dropped', async () => {
        const { oid } = await tableOf('dropped', 'id integer');
        await session.query('DROP TABLE dropped');
        assert.equal(await source.table(oid), undefined);
      });
    });

    describe('publication', () => {
      const published = async (name: string) =>
        (
          await session.query(
            `SELECT tablename FROM pg_publication_tables WHERE pubname = '${name}' ORDER BY 1`,
          )
        ).map((row) => row['tablename']);

      test('is created, and brought to other tables', async () => {
        const one = await tableOf('published_one', 'id integer');
        const two = await tableOf('"published Two"', 'id integer');
        assert.equal(await source.publicationExists('a "strange" name'), false);
        await source.ensurePublication('a "strange" name', [one]);
        assert.equal(await source.publicationExists('a "strange" name'), true);
        assert.deepEqual(await published('a "strange" name'), ['published_one']);
        await source.ensurePublication('a "strange" name', [two]);
        assert.deepEqual(await published('a "strange" name'), ['published Two']);
        await source.ensurePublication('a "strange" name', []);
        assert.deepEqual(await published('a "strange" name'), []);
        await source.ensurePublication('a "strange" name', 'all');
        assert.ok((await published('a "strange" name')).includes('published_one'));
        await source.ensurePublication('a "strange" name', [one]);
        assert.deepEqual(await published('a "strange" name'), ['published_one']);
      });

      test('is left alone when it fits', async () => {
        const table = await tableOf('fitting', 'id integer');
        await source.ensurePublication('fitting', [table]);
        await session.query(`ALTER PUBLICATION fitting SET (publish = 'insert')`);
        const version = `SELECT xmin FROM pg_publication WHERE pubname = 'fitting'`;
        const was = await session.query(version);
        await source.ensurePublication('fitting', [table]);
        assert.deepEqual(await session.query(version), was);
      });
    });

    describe('snapshots', () => {
      test('go on seeing what was there when they began', async () => {
        const table = await tableOf('still', 'id integer PRIMARY KEY');
        await session.query('INSERT INTO still VALUES (1)');
        await using snapshot = await source.snapshot();
        await session.query('INSERT INTO still VALUES (2); ALTER TABLE still ADD COLUMN late text');
        assert.match(snapshot.visible, /^\d+:\d+:[\d,]*$/);
        assert.deepEqual(await linesOf(snapshot.copy(everything(table), NEVER)), ['1']);
        assert.equal((await snapshot.table(table.oid))?.name, 'still');
      });

      test('copy many rows, whole ones in each chunk', async () => {
        const table = await tableOf('many', 'id integer PRIMARY KEY, filler text');
        await session.query(
          `INSERT INTO many SELECT i, E'line\\nfeed ' || repeat('x', i % 300) FROM generate_series(1, 20000) i`,
        );
        await using snapshot = await source.snapshot();
        const ids: number[] = [];
        for await (const chunk of snapshot.copy(everything(table), NEVER)) {
          assert.equal(chunk.at(-1), 0x0a);
          for (const line of chunk.toString().trimEnd().split('\n'))
            ids.push(Number.parseInt(line));
        }
        assert.deepEqual(
          ids.sort((a, b) => a - b),
          Array.from({ length: 20_000 }, (_, i) => i + 1),
        );
      });

      test('copy by key, after a key, no more than asked, whatever the names', async () => {
        const table = await tableOf(
          `"odd ""table"" 'name"`,
          `"b 1" integer, "a'2" text COLLATE "C", v text, PRIMARY KEY ("b 1", "a'2")`,
        );
        await session.query(
          `INSERT INTO "odd ""table"" 'name" VALUES (10, 'x', '1'), (9, 'y', '2'), (9, E'it''s \\\\', '3'), (9, 'z', '4'), (11, '', '5')`,
        );
        await using snapshot = await source.snapshot();
        const page = (after?: readonly string[]) =>
          linesOf(
            snapshot.copy(
              {
                table,
                columns: ['v', 'b 1'],
                orderBy: table.primaryKey,
                limit: 2,
                ...(after ? { after } : {}),
              },
              NEVER,
            ),
          );
        assert.deepEqual(await page(), ['3\t9', '2\t9']);
        assert.deepEqual(await page(['9', `it's \\`]), ['2\t9', '4\t9']);
        assert.deepEqual(await page(['9', 'z']), ['1\t10', '5\t11']);
        assert.deepEqual(await page(['11', '']), []);
      });

      test('refuse a table that is no longer as they saw it, and stay of use', async () => {
        const kept = await tableOf('kept', 'id integer');
        const changes = [
          ['was_dropped', 'DROP TABLE was_dropped'],
          ['was_renamed', 'ALTER TABLE was_renamed RENAME TO is_renamed'],
          ['was_altered', 'ALTER TABLE was_altered RENAME v TO w'],
          ['was_rewritten', 'ALTER TABLE was_rewritten ALTER v TYPE text'],
        ] as const;
        const tables = [];
        for (const [name] of changes) tables.push(await tableOf(name, 'id integer, v integer'));
        for (const { name } of tables) await session.query(`INSERT INTO ${name} VALUES (1, 1)`);
        await session.query('INSERT INTO kept VALUES (7)');
        await using snapshot = await source.snapshot();
        for (const [, sql] of changes) await session.query(sql);
        for (const table of tables)
          await assert.rejects(
            linesOf(snapshot.copy(everything(table), NEVER)),
            refusal('table_changed'),
            table.name,
          );
        assert.deepEqual(await linesOf(snapshot.copy(everything(kept), NEVER)), ['7']);
      });

      test('reject a copy that is aborted, so that it never looks complete', async () => {
        const table = await tableOf('aborted_copy', 'id integer, filler text');
        await session.query(
          `INSERT INTO aborted_copy SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i`,
        );
        await using snapshot = await source.snapshot();
        const stop = new AbortController();
        await assert.rejects(async () => {
          for await (const _ of snapshot.copy(everything(table), stop.signal)) stop.abort();
        }, stop.signal.reason as Error);
      });
    });

    describe('slots', () => {
      test('are told about from creation to drop', async () => {
        assert.equal(await source.slot('told'), undefined);
        await using created = await source.createSlot('told');
        const slot = must(await source.slot('told'), 'it was just created');
        assert.equal(slot.plugin, 'pgoutput');
        assert.equal(slot.database, (await source.identify()).database);
        assert.equal(slot.confirmedFlush, created.consistentPoint);
        assert.equal(slot.walStatus, 'reserved');
        assert.equal(slot.active, false);
        assert.ok(must(slot.retainedBytes, 'a logical slot keeps WAL') >= must(slot.lagBytes, ''));
        await source.dropSlot('told');
        assert.equal(await source.slot('told'), undefined);
      });

      test('are refused twice, and missed by name', async () => {
        await using _ = await source.createSlot('twice');
        await assert.rejects(source.createSlot('twice'), refusal('slot_exists'));
        await source.dropSlot('twice');
        await assert.rejects(source.dropSlot('twice'), refusal('slot_missing'));
        await assert.rejects(
          source.follow(
            { slot: 'twice', publication: 'twice', from: 0n as Lsn, messages: false },
            NEVER,
          ),
          refusal('slot_missing'),
        );
      });

      test('go with their connection when temporary', async () => {
        const created = await source.createSlot('passing', { temporary: true });
        assert.ok(await source.slot('passing'));
        await created[Symbol.asyncDispose]();
        await until(async () => (await source.slot('passing')) === undefined);
      });
    });

    describe('statements of the configuration', () => {
      test('are run one after the other, and refused with what the server says', async () => {
        await source.execute(
          'CREATE TABLE asked (id integer); INSERT INTO asked VALUES (1)',
          NEVER,
        );
        await source.execute('INSERT INTO asked VALUES (2)', NEVER);
        await assert.rejects(source.execute('INSERT INTO unknown VALUES (1)', NEVER), /unknown/);
        await source.execute('INSERT INTO asked VALUES (3)', NEVER);
        const [row] = await session.query('SELECT count(*) FROM asked');
        assert.equal(row?.['count'], '3');
      });

      test('hold up no question while they wait for a lock, and end when told to', async () => {
        await session.query('CREATE TABLE barred (id integer PRIMARY KEY)');
        await using keeper = await fixture.connect();
        await keeper.query('BEGIN; LOCK TABLE barred IN ACCESS EXCLUSIVE MODE');
        const stop = new AbortController();
        const waiting = source.execute('INSERT INTO barred VALUES (1)', stop.signal);
        const { systemId } = await source.identify();
        assert.match(systemId, /\d/);
        await source.slot('none');
        stop.abort(new Error('told to'));
        await assert.rejects(waiting, /told to/);
        await keeper.query('COMMIT');
        await source.execute('SELECT 1', NEVER);
      });
    });

    describe('the stream', () => {
      test('takes over where the first snapshot ends, under concurrent inserts', async () => {
        const table = await tableOf('joined', 'id serial PRIMARY KEY');
        await source.ensurePublication('joined', [table]);
        const stop = new AbortController();
        const writers = [1, 2, 3].map(async () => {
          await using writer = await fixture.connect();
          while (!stop.signal.aborted) {
            await writer.query('INSERT INTO joined DEFAULT VALUES');
          }
        });
        await until(async () => (await session.query('SELECT FROM joined')).length > 50);
        const slot = await source.createSlot('joined');
        const copied = await linesOf(slot.snapshot.copy(everything(table), NEVER));
        await slot[Symbol.asyncDispose]();
        await until(
          async () => (await session.query('SELECT FROM joined')).length > copied.length + 50,
        );
        stop.abort();
        await Promise.all(writers);
        const streamed = await readTransactions(source, 'joined', slot.consistentPoint);
        const ids = [...copied, ...streamed.flatMap((transaction) => transaction.inserted)];
        const there = await session.query('SELECT id FROM joined ORDER BY id');
        assert.ok(copied.length > 0 && ids.length > copied.length);
        assert.deepEqual(
          ids.map(Number).sort((a, b) => a - b),
          there.map((row) => Number(row['id'])),
        );
      });

      test('yields whole transactions in the order of their commits', async () => {
        const { start } = await followed('ordered');
        await using first = await fixture.connect();
        await first.query('BEGIN; INSERT INTO ordered VALUES (1)');
        await session.query('INSERT INTO ordered VALUES (2)');
        await first.query('INSERT INTO ordered VALUES (3); COMMIT');
        const transactions = await readTransactions(source, 'ordered', start);
        assert.deepEqual(
          transactions.map((transaction) => transaction.inserted),
          [['2'], ['1', '3']],
        );
        const ends = transactions.map((transaction) => transaction.end);
        assert.ok(ends.every((end, i) => i === 0 || end > must(ends[i - 1], 'i > 0')));
      });

      test('repeats what was not confirmed, and goes on after what was', async () => {
        const { start } = await followed('repeated');
        for (const id of [1, 2, 3]) await session.query(`INSERT INTO repeated VALUES (${id})`);
        const [one, two] = await readTransactions(source, 'repeated', start);
        const again = await readTransactions(source, 'repeated', start, one?.end);
        assert.deepEqual(
          again.map((transaction) => transaction.inserted),
          [['1'], ['2'], ['3']],
        );
        const confirmed = (await source.slot('repeated'))?.confirmedFlush;
        assert.equal(confirmed, one?.end);
        const rest = await readTransactions(source, 'repeated', must(confirmed, 'it is logical'));
        assert.deepEqual(
          rest.map((transaction) => transaction.inserted),
          [['2'], ['3']],
        );
        const last = await readTransactions(source, 'repeated', must(two?.end, 'there are three'));
        assert.deepEqual(
          last.map((transaction) => transaction.inserted),
          [['3']],
        );
      });

      test('never takes a confirmation back', async () => {
        const { start } = await followed('forward');
        await session.query('INSERT INTO forward VALUES (1)');
        const [only] = await readTransactions(source, 'forward', start);
        const end = must(only?.end, 'one row was inserted');
        await using stream = await source.follow(options('forward', start), NEVER);
        stream.confirm(end);
        stream.confirm(start);
        await until(async () => (await source.slot('forward'))?.confirmedFlush === end);
        await stream[Symbol.asyncDispose]();
        assert.equal((await source.slot('forward'))?.confirmedFlush, end);
      });

      test('is one reader’s at a time', async () => {
        const { start } = await followed('contended');
        await using _ = await source.follow(options('contended', start), NEVER);
        await assert.rejects(
          source.follow(options('contended', start), NEVER),
          refusal('slot_in_use'),
        );
      });

      test('ends without an error when its reader is told to stop, and lets go of the slot', async () => {
        const { start } = await followed('stopped');
        for (const isReading of [true, false]) {
          const stop = new AbortController();
          const signals = isReading ? [NEVER, stop.signal] : [stop.signal, NEVER];
          const stream = await source.follow(
            options('stopped', start),
            must(signals[0], 'there are two'),
          );
          const read = consume(stream.batches(must(signals[1], 'there are two')));
          stop.abort();
          await read;
          await stream[Symbol.asyncDispose]();
          assert.equal((await source.slot('stopped'))?.active, false);
        }
      });

      test('names the transactions that have an id, until their WAL is written', async () => {
        await session.query('CREATE TABLE running (id integer)');
        const before = await source.runningTransactions();
        await session.query('BEGIN');
        await session.query('INSERT INTO running VALUES (1)');
        const [own] = await session.query('SELECT pg_current_xact_id()::xid AS id');
        const during = await source.runningTransactions();
        await session.query('SET LOCAL synchronous_commit = off');
        await session.query('COMMIT');
        const end = await source.walInsertLsn();
        const after = await source.runningTransactions();
        const id = must(own?.['id'], 'it wrote');
        assert.deepEqual(
          [before, during, after].map(({ ids }) => ids.includes(id)),
          [false, true, false],
        );
        assert.ok(before.atMs <= during.atMs && during.atMs <= after.atMs);
        assert.ok(end <= (await source.walInsertLsn()));
      });

      test('passes logical messages on when asked', async () => {
        const { start } = await followed('spoken');
        await session.query(`SELECT pg_logical_emit_message(false, 'millrace', 'hello')`);
        const contents = async (messages: boolean) => {
          const target = await source.walInsertLsn();
          const stop = new AbortController();
          await using stream = await source.follow(
            { ...options('spoken', start), messages },
            stop.signal,
          );
          let found = false;
          for await (const batch of stream.batches(stop.signal)) {
            for (const message of messagesOf(batch)) {
              if (message.type === 'w' && message.body.includes('hello')) found = true;
              if (message.walEnd >= target) stop.abort();
            }
          }
          return found;
        };
        assert.equal(await contents(false), false);
        assert.equal(await contents(true), true);
      });

      test('carries values and transactions of any size', async () => {
        const table = await tableOf('large', 'id integer PRIMARY KEY, filler text');
        await source.ensurePublication('large', [table]);
        const slot = await source.createSlot('large');
        await slot[Symbol.asyncDispose]();
        await session.query(`INSERT INTO large VALUES (0, repeat('y', 9000000))`);
        await session.query(
          `INSERT INTO large SELECT i, repeat('x', i % 2000) FROM generate_series(1, 20000) i`,
        );
        const transactions = await readTransactions(source, 'large', slot.consistentPoint);
        assert.deepEqual(
          transactions.map((transaction) => transaction.inserted),
          [['0'], Array.from({ length: 20_000 }, (_, i) => String(i + 1))],
        );
      });
    });
  });
}

const options = (name: string, from: Lsn) => ({
  slot: name,
  publication: name,
  from,
  messages: false,
});

const everything = (table: Table) => ({
  table,
  columns: table.columns.map((column) => column.name),
  orderBy: [],
});

async function findTable(source: ChangeSource, quoted: string): Promise<Table | undefined> {
  const name = quoted.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted;
  return (await source.tables()).find((table) => table.name === name);
}

async function linesOf(copy: CopyStream): Promise<string[]> {
  const chunks = await Array.fromAsync(copy);
  return Buffer.concat(chunks).toString().split('\n').slice(0, -1);
}

async function consume(iterable: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of iterable);
}

/** Asks again until it holds; the test's time limit ends it. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

export type Transaction = Readonly<{
  /** The first column of each row inserted. */
  inserted: readonly string[];
  /** Where its commit record ends. */
  end: Lsn;
}>;

/**
 * What the stream of slot and publication `name` yields from `from` up to where the log ends now;
 * confirms `confirm` in the end.
 */
export async function readTransactions(
  source: ChangeSource,
  name: string,
  from: Lsn,
  confirm?: Lsn,
): Promise<readonly Transaction[]> {
  const target = await source.walInsertLsn();
  await using stream = await source.follow(options(name, from), NEVER);
  const transactions: Transaction[] = [];
  let inserted: string[] = [];
  for await (const batch of stream.batches(NEVER)) {
    assert.ok(batch.count > 0);
    let hasPassed = false;
    for (const { type, walEnd, body } of messagesOf(batch)) {
      const kind = String.fromCharCode(body[0] ?? 0);
      if (type === 'k') hasPassed ||= walEnd >= target;
      else if (kind === 'B') inserted = [];
      else if (kind === 'I') {
        // I, relation 4, N, columns 2, t, length 4, text
        inserted.push(body.toString('utf8', 13, 13 + body.readInt32BE(9)));
      } else if (kind === 'C') {
        const end = lsnOf(body.readUInt32BE(10), body.readUInt32BE(14));
        transactions.push({ inserted, end });
        hasPassed ||= end >= target;
      }
    }
    if (hasPassed) break;
  }
  if (confirm !== undefined) stream.confirm(confirm);
  return transactions;
}

type Message = Readonly<{ type: string; walEnd: Lsn; body: Buffer }>;

/** The slow, obvious way to read a batch: 'w', start 8, end 8, clock 8, body; 'k', end 8, clock 8, reply 1. */
export function messagesOf({ bytes, bounds, count }: WalBatch): readonly Message[] {
  return Array.from({ length: count }, (_, i) => {
    const message = Buffer.from(bytes.subarray(bounds[2 * i], bounds[2 * i + 1]));
    const type = String.fromCharCode(message[0] ?? 0);
    assert.ok(type === 'w' || type === 'k', `message ${i} is neither data nor keepalive`);
    const walEnd = lsnOf(message.readUInt32BE(1), message.readUInt32BE(5));
    return { type, walEnd, body: message.subarray(type === 'w' ? 25 : 17) };
  });
}
