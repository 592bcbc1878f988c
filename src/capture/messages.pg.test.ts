import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  captured,
  capturing,
  connector,
  connectorConfig,
  recordsOf,
  until,
} from '../../test/capture.ts';
import { cutting } from '../../test/cutting-log.ts';
import { temporaryPostgres, type TemporaryPostgres } from '../../test/postgres.ts';
import { MemoryEventLog } from '../adapters/memory/event-log.ts';
import { PostgresClient } from '../adapters/postgres/client.ts';
import { PostgresSource } from '../adapters/postgres/source.ts';
import { AUDIT_PREFIX, auditOf, auditStatement } from '../domain/audit.ts';
import { MillraceError, remedyFor } from '../domain/errors.ts';
import { decodeMessage, type LogicalMessage } from '../domain/logical-message.ts';
import { must } from '../lib/must.ts';
import type { EventLog } from '../ports/event-log.ts';

const TOPIC = 'test_server.message';

type Value = Readonly<{ after: Readonly<{ id: number }>; source: Readonly<{ txId: number }> }>;

describe('logical messages', { timeout: 60_000 }, () => {
  let server: TemporaryPostgres;
  let client: PostgresClient;
  before(async () => {
    server = await temporaryPostgres();
    client = await PostgresClient.connect(server);
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  let lastId = 1000;
  /** What is captured of a schema with a table `t`, once a row came that was inserted after the steps. */
  const capturedOf = async (
    schema: string,
    steps: () => Promise<unknown>,
    options: Record<string, string> = {},
    log: EventLog = new MemoryEventLog(),
  ) => {
    await client.query(`
      create schema if not exists ${schema};
      create table if not exists ${schema}.t (id int primary key)`);
    const running = await capturing(server, log, { ...namesOf(schema), ...options });
    const rows = async () =>
      (await captured(log, `test_server.${schema}.`)).map(({ value }) => value as Value);
    await steps();
    lastId += 1;
    await client.query(`insert into ${schema}.t values (${lastId})`);
    await until(async () => (await rows()).some((row) => row.after.id === lastId));
    const { changes } = running.connector.status();
    await running.stop();
    return { log, changes, rows: await rows(), messages: await messagesIn(log) };
  };

  test('tell of the transaction whose rows they came with, and of nothing that was rolled back', async () => {
    const { rows, messages, changes } = await capturedOf('together', async () => {
      await client.query(`
        begin;
        select pg_logical_emit_message(true, 'p', 'before');
        insert into together.t values (1);
        savepoint s;
        select pg_logical_emit_message(true, 'p', 'taken back');
        rollback to s;
        select pg_logical_emit_message(true, 'p', 'after');
        commit;
        begin; insert into together.t values (2); select pg_logical_emit_message(true, 'p', 'gone'); rollback`);
    });
    const row = must(rows[0], 'it was captured before the last one');
    assert.deepEqual(
      messages.map(({ content, txId }) => [content.toString(), txId]),
      [
        ['before', row.source.txId],
        ['after', row.source.txId],
      ],
    );
    assert.equal(changes, 2); // of rows
  });

  test('come once, of whichever transaction or none, also where capture was away', async () => {
    const say = (text: string) =>
      client.query(`
        select pg_logical_emit_message(false, 'p', 'alone ${text}');
        begin; select pg_logical_emit_message(true, 'p', 'with ${text}'); commit`);
    const first = await capturedOf('away', () => say('a'));
    await say('b');
    const again = await capturedOf('away', () => say('c'), {}, first.log);
    assert.deepEqual(
      again.messages.map(({ content }) => content.toString()),
      ['alone a', 'with a', 'alone b', 'with b', 'alone c', 'with c'],
    );
  });

  test('are neither lost nor doubled where capture is cut off inside a transaction', async () => {
    const { log } = await capturedOf('cut', async () => undefined);
    const said = Array.from({ length: 2000 }, (_, nth) => String(nth));
    await client.query(`
      do $$ begin
        for nth in 0..1999 loop
          insert into cut.t values (10000 + nth);
          perform pg_logical_emit_message(true, 'p', nth::text);
          perform pg_logical_emit_message(true, 'millrace', repeat('x', 2000));
        end loop;
      end $$;
      select pg_logical_emit_message(false, 'p', 'alone');`);
    let cuts = 0;
    let appends = 0;
    const cutOff = (isDurable: boolean): void => {
      appends += isDurable ? 0 : 1;
      if (cuts >= 6 || isDurable !== (cuts % 2 === 0)) return;
      cuts += 1;
      throw new MillraceError('source_unreachable', { address: 'cut off here' });
    };
    await using source = await PostgresSource.open(server);
    const config = connectorConfig(server, namesOf('cut'));
    const stop = new AbortController();
    void until(async () => (await messagesIn(log)).length > said.length).then(() => stop.abort());
    while (!stop.signal.aborted)
      await connector(source, cutting(log, cutOff), config)
        .run(stop.signal)
        .catch((error: unknown) => {
          if (remedyFor(error).retry !== 'auto') throw error;
        });
    assert.deepEqual(
      (await messagesIn(log)).map(({ content }) => content.toString()),
      ['alone', ...said], // it did not wait for the commit
    );
    assert.equal((await recordsOf(log, 'test_server.cut.t')).length, 1 + said.length);
    assert.deepEqual({ cuts, goesOn: appends > cuts }, { cuts: 6, goesOn: true });
  });

  test('are chosen by their prefix', async () => {
    const say = async () => {
      for (const prefix of ['audit', 'Audit', 'audit2', 'other', 'millrace', ''])
        await client.query(`select pg_logical_emit_message(true, $1, 'said')`, [prefix]);
    };
    // The connector's own messages are empty.
    const found = async (schema: string, options: Record<string, string>) =>
      (await capturedOf(schema, say, options)).messages
        .filter(({ content }) => content.length > 0)
        .map(({ prefix }) => prefix);
    const include = { 'message.prefix.include.list': 'audit,mill.*' };
    assert.deepEqual(await found('included', include), ['audit', 'Audit', 'millrace']);
    const exclude = { 'message.prefix.exclude.list': 'audit.?' };
    assert.deepEqual(await found('excluded', exclude), ['other', '']);
    assert.deepEqual(await found('every', {}), ['audit', 'Audit', 'audit2', 'other', '']);
  });

  test('make their topic when the first one comes', async () => {
    const own = () => client.query(`select pg_logical_emit_message(true, 'millrace', '')`);
    const { log } = await capturedOf('silent', own);
    assert.ok((await log.topics()).every(({ name }) => name !== TOPIC));
  });

  test('have the form of Debezium, whatever they hold', async () => {
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
    const { log, messages } = await capturedOf('formed', () =>
      client.query('select pg_logical_emit_message(true, $1, $2::bytea)', ['"ü\n', content]),
    );
    assert.deepEqual(messages[0]?.content, content);
    const [record] = await recordsOf(log, TOPIC);
    assert.equal(Buffer.from(record?.key ?? []).toString(), '{"prefix":"\\"ü\\n"}');
    const value = JSON.parse(Buffer.from(record?.value ?? []).toString()) as Record<string, object>;
    assert.deepEqual(Object.keys(value), ['op', 'ts_ms', 'source', 'transaction', 'message']);
    assert.deepEqual(Object.keys(value['message'] ?? {}), ['prefix', 'content']);
    const inOrder =
      'version connector name ts_ms snapshot db sequence ts_us ts_ns schema table txId lsn xmin origin origin_lsn';
    assert.equal(Object.keys(value['source'] ?? {}).join(' '), inOrder);
  });

  test('say who changes something', async () => {
    const audit = { actor: "o'neil@example.com", reason: '\0 "ü"', order: 4711 };
    const { rows, messages } = await capturedOf('who', () =>
      client.transaction(async (query) => {
        const { text, values } = auditStatement(audit);
        await query(text, values);
        await query('insert into who.t values (1)');
      }),
    );
    const said = must(messages[0], 'it was captured before the last row');
    assert.deepEqual([said.prefix, auditOf(said.content)], [AUDIT_PREFIX, audit]);
    assert.equal(said.txId, rows[0]?.source.txId);
  });
});

function namesOf(schema: string): Record<string, string> {
  return { 'slot.name': schema, 'publication.name': schema, 'schema.include.list': schema };
}

async function messagesIn(log: EventLog): Promise<LogicalMessage[]> {
  if ((await log.topics()).every(({ name }) => name !== TOPIC)) return [];
  const records = await recordsOf(log, TOPIC);
  return records.map(({ value }) => decodeMessage(must(value, 'a message has a value')));
}
