import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { changeSourceContract, messagesOf, until } from '../../../test/contracts/change-source.ts';
import { temporaryPostgres } from '../../../test/postgres.ts';
import type { TemporaryPostgres } from '../../../test/postgres.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { Lsn } from '../../domain/lsn.ts';
import { must } from '../../lib/must.ts';
import type { WalBatch } from '../../ports/change-source.ts';
import { PostgresClient } from './client.ts';
import { openConnection } from './connection.ts';
import { PostgresSource } from './source.ts';

const NEVER = new AbortController().signal;

const refusal = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

changeSourceContract('PostgresSource', async () => {
  const server = await temporaryPostgres();
  return {
    open: () => PostgresSource.open(server),
    connect: () => PostgresClient.connect(server),
    [Symbol.asyncDispose]: () => server.stop(),
  };
});

describe('PostgresSource', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let source: PostgresSource;
  before(async () => {
    server = await temporaryPostgres();
    source = await PostgresSource.open(server);
  });
  after(async () => {
    await source?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const follow = (name: string, from: Lsn) =>
    source.follow({ slot: name, publication: name, from, messages: false }, NEVER);

  test('names the transactions that a new slot waits for, and stops waiting when told', async () => {
    await using writer = await PostgresClient.connect(server);
    const [row] = await writer.query('SELECT pg_backend_pid() AS pid');
    await writer.query('BEGIN; SELECT pg_current_xact_id()');
    const stop = new AbortController();
    const created = source.createSlot('waiting', { signal: stop.signal });
    await until(async () => (await source.slot('waiting')) !== undefined);
    // Autovacuum may have a transaction of its own.
    const blocker = (await source.blockers()).find(({ pid }) => pid === Number(row?.['pid']));
    assert.equal(blocker?.query, 'BEGIN; SELECT pg_current_xact_id()');
    assert.match(String(blocker?.xid), /^\d+$/);
    assert.match(String(blocker?.startedAt), /^\d{4}-.*\+00$/);
    stop.abort();
    await assert.rejects(created, stop.signal.reason as Error);
    await until(async () => (await source.slot('waiting')) === undefined);
    await writer.query('ROLLBACK');
  });

  test('names the SQL for a right that is missing, and never the password', async () => {
    await source.query(`
      CREATE ROLE limited LOGIN PASSWORD 'hidden-7';
      CREATE TABLE not_theirs (id integer)`);
    const tables = await source.tables();
    await using limited = await PostgresSource.open({
      ...server,
      user: 'limited',
      password: 'hidden-7',
    });
    await using snapshot = await limited.snapshot();
    const table = must(
      tables.find(({ name }) => name === 'not_theirs'),
      'it was just created',
    );
    const copy = () => snapshot.copy({ table, columns: ['id'], orderBy: [] }, NEVER);
    for (const [attempt, said] of [
      [() => limited.ensurePublication('theirs', [table]), /CREATE PUBLICATION "theirs" FOR TABLE/],
      [() => Array.fromAsync(copy()), /copy the table public\.not_theirs/],
      [() => limited.createSlot('theirs'), /ALTER ROLE "limited" REPLICATION/],
    ] as const) {
      await assert.rejects(attempt, (error: unknown) => {
        assert.ok(error instanceof MillraceError, String(error));
        assert.equal(error.code, 'source_not_ready');
        assert.match(error.message, said);
        assert.doesNotMatch(inspect(error), /hidden-7/);
        return true;
      });
    }
  });

  test('fails a copy rather than leave out the rows that a policy hides', async () => {
    await source.query(`
      CREATE ROLE watched LOGIN PASSWORD 'hidden-8';
      CREATE TABLE guarded (id integer);
      ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
      GRANT SELECT ON guarded TO watched`);
    const table = (await source.tables()).find(({ name }) => name === 'guarded');
    await using watched = await PostgresSource.open({
      ...server,
      user: 'watched',
      password: 'hidden-8',
    });
    await using snapshot = await watched.snapshot();
    const copy = snapshot.copy(
      { table: must(table, 'it was just created'), columns: ['id'], orderBy: [] },
      NEVER,
    );
    await assert.rejects(Array.fromAsync(copy), refusal('source_not_ready'));
  });

  test('tells a refused login from a server that is not there', async () => {
    const wrong = { ...server, password: 'wrong-9' };
    await assert.rejects(PostgresSource.open(wrong), refusal('source_login_failed'));
    await assert.rejects(
      PostgresSource.open({ ...server, port: 1 }),
      refusal('source_unreachable'),
    );
  });

  test('prints a value alike in copy and stream, whatever the role has set', async () => {
    await source.query(`
      CREATE TABLE values_of (i interval, t timestamptz, d date, b bytea, f float8);
      ALTER TABLE values_of REPLICA IDENTITY FULL;
      ALTER ROLE postgres SET datestyle = 'German';
      ALTER ROLE postgres SET timezone = 'Asia/Tokyo';
      ALTER ROLE postgres SET intervalstyle = 'iso_8601';
      ALTER ROLE postgres SET bytea_output = 'escape';
      ALTER ROLE postgres SET extra_float_digits = -5`);
    const [table] = (await source.tables()).filter(({ name }) => name === 'values_of');
    await source.ensurePublication('values_of', [must(table, 'it was just created')]);
    await using slot = await source.createSlot('values_of');
    await source.query(
      `INSERT INTO values_of VALUES ('1 year 2 days', '2024-02-03 04:05:06.7+09', '2024-02-03', '\\x00ff', 0.1::float8 + 0.2)`,
    );
    const printed = [
      '1 year 2 days',
      '2024-02-02 19:05:06.7+00',
      '2024-02-03',
      '\\x00ff',
      '0.30000000000000004',
    ];
    await using snapshot = await source.snapshot();
    const copy = snapshot.copy(
      { table: must(table, ''), columns: ['i', 't', 'd', 'b', 'f'], orderBy: [] },
      NEVER,
    );
    const text = Buffer.concat(await Array.fromAsync(copy)).toString();
    assert.equal(text, `${printed.join('\t').replace('\\', '\\\\')}\n`);
    await using stream = await follow('values_of', slot.consistentPoint);
    for await (const batch of stream.batches(NEVER)) {
      const insert = messagesOf(batch).find(({ type, body }) => type === 'w' && body[0] === 0x49);
      if (insert === undefined) continue;
      for (const value of printed) assert.ok(insert.body.includes(value), value);
      break;
    }
    await source.query('ALTER ROLE postgres RESET ALL');
  });

  test('reads what pg reads, message for message', async () => {
    await source.query('CREATE TABLE reference (id integer, filler text)');
    const tables = (await source.tables()).filter(({ name }) => name === 'reference');
    await source.ensurePublication('reference', tables);
    await using slot = await source.createSlot('reference');
    await source.query(
      `INSERT INTO reference SELECT i, repeat('x', i * i % 7919) FROM generate_series(1, 3000) i`,
    );
    await source.query('INSERT INTO reference VALUES (0)');
    const isWhole = (bodies: readonly Buffer[]) =>
      bodies.filter((body) => body[0] === 0x43).length === 2;

    const ours: Buffer[] = [];
    await using stream = await follow('reference', slot.consistentPoint);
    for await (const batch of stream.batches(NEVER)) {
      for (const { type, body } of messagesOf(batch)) if (type === 'w') ours.push(body);
      if (isWhole(ours)) break;
    }
    await stream[Symbol.asyncDispose]();

    const theirs: Buffer[] = [];
    const connection = await openConnection(server, { replication: true });
    const read = new Promise<void>((resolve) => {
      connection.connection.on('copyData', ({ chunk }: { chunk: Buffer }) => {
        if (chunk[0] === 0x77) theirs.push(Buffer.from(chunk.subarray(25)));
        if (chunk[25] === 0x43 && isWhole(theirs)) resolve();
      });
    });
    const ended = connection
      .query(
        `START_REPLICATION SLOT reference LOGICAL 0/0 (proto_version '1', publication_names 'reference')`,
      )
      .catch(() => undefined);
    await read;
    await connection.end();
    await ended;
    assert.equal(ours.length, theirs.length);
    assert.ok(ours.every((body, i) => body.equals(must(theirs[i], 'they are as many'))));
  });

  test('tells where the log stands without the header of a page that has no record yet', async () => {
    const [row] = await source.query(
      `SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'`,
    );
    await source.query('SELECT pg_logical_emit_message(true, $1, $1)', ['fill']);
    await source.query('SELECT pg_switch_wal()');
    assert.equal((await source.walInsertLsn()) % BigInt(row?.['setting'] ?? ''), 0n);
  });

  test('has WAL flushed that no commit follows, or nobody would be told of it', async () => {
    await source.query('CREATE TABLE pruned AS SELECT i AS id FROM generate_series(1, 1000) i');
    const isFlushed = async () => {
      const [row] = await source.query(
        'SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn() AS is_so',
      );
      return row?.['is_so'] === 't';
    };
    // Reading prunes the pages that an update has left behind; the server may flush that by chance.
    await until(async () => {
      await source.query('UPDATE pruned SET id = -id');
      await source.query('SELECT count(*) FROM pruned');
      return !(await isFlushed());
    });
    await source.walInsertLsn();
    assert.equal(await isFlushed(), true);
  });

  test('keeps the connection while its reader takes longer than wal_sender_timeout', async () => {
    await source.query(`
      CREATE TABLE slow (id integer, filler text);
      ALTER ROLE postgres SET wal_sender_timeout = '1s'`);
    await source.ensurePublication(
      'slow',
      (await source.tables()).filter(({ name }) => name === 'slow'),
    );
    await using slot = await source.createSlot('slow');
    await using stream = await follow('slow', slot.consistentPoint);
    await source.query('ALTER ROLE postgres RESET ALL');
    const batches = stream.batches(NEVER)[Symbol.asyncIterator]();
    // More than all buffers on the way hold, so that the server waits for its reader.
    await source.query(
      `INSERT INTO slow SELECT i, repeat('x', 1000) FROM generate_series(1, 30000) i`,
    );
    const first = must((await batches.next()).value as WalBatch | undefined, 'a batch came');
    let messages = first.count;
    const [began] = await source.query('SELECT clock_timestamp() AS now');
    await until(async () => {
      const [state] = await source.query(
        `SELECT FROM pg_stat_replication
          WHERE reply_time > $1::timestamptz + interval '2.5 s' AND state = 'streaming'`,
        [began?.['now']],
      );
      return state !== undefined;
    });
    while (messages < 30_000) {
      messages += must((await batches.next()).value as WalBatch | undefined, 'more came').count;
    }
  });

  test('tells a slot whose WAL was removed from one that never was', async () => {
    await using slot = await source.createSlot('lost');
    await source.ensurePublication('lost', []);
    await source.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`);
    await source.query('SELECT pg_reload_conf()');
    await until(async () => {
      await source.query(`SELECT pg_logical_emit_message(true, 'fill', repeat('x', 100000))`);
      await source.query('SELECT pg_switch_wal()');
      await source.query('CHECKPOINT');
      return (await source.slot('lost'))?.walStatus === 'lost';
    });
    await assert.rejects(follow('lost', slot.consistentPoint), refusal('slot_lost'));
  });

  test('answers again on a new connection after the old one was lost', async () => {
    await source
      .query('SELECT pg_terminate_backend(pg_backend_pid())')
      .catch((error: unknown) => assert.ok(refusal('source_unreachable')(error)));
    await until(async () =>
      source.walInsertLsn().then(
        () => true,
        (error: unknown) => assert.ok(refusal('source_unreachable')(error)) ?? false,
      ),
    );
  });

  test('fails as unreachable, to be tried again, when the server is killed', async () => {
    await using slot = await source.createSlot('killed');
    await source.ensurePublication('killed', []);
    await using stream = await follow('killed', slot.consistentPoint);
    const ends = [
      assert.rejects(Array.fromAsync(stream.batches(NEVER)), refusal('source_unreachable')),
      assert.rejects(slot.snapshot.query('SELECT pg_sleep(60)'), refusal('source_unreachable')),
    ];
    process.kill(server.pid, 'SIGKILL');
    await Promise.all(ends);
    // A process of the server answers until it has noticed that the postmaster is gone.
    const askAgain = async (): Promise<never> => {
      for (;;) await source.walInsertLsn();
    };
    await assert.rejects(askAgain(), refusal('source_unreachable'));
  });
});
