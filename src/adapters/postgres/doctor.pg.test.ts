import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { temporaryPostgres } from '../../../test/postgres.ts';
import type { TemporaryPostgres } from '../../../test/postgres.ts';
import { MillraceError } from '../../domain/errors.ts';
import { must } from '../../lib/must.ts';
import { query } from './client.ts';
import type { ConnectionFacts } from './connection.ts';
import { checkSource } from './doctor.ts';
import type { Check, SourceNeeds } from './doctor-check.ts';

const needs: SourceNeeds = {
  slot: 'shop',
  publication: 'the shop',
  publicationMode: 'filtered',
  tables: { matches: (schema) => schema === 'Shop' },
};

let server: TemporaryPostgres;
let guest: ConnectionFacts;

before(async () => {
  server = await temporaryPostgres({
    settings: { wal_level: 'replica', max_slot_wal_keep_size: '-1' },
  });
  guest = { ...server, user: 'a guest', password: 'guest' };
  await query(
    server,
    `CREATE SCHEMA "Shop";
     CREATE TABLE "Shop".orders (id int PRIMARY KEY);
     CREATE TABLE "Shop"."order ""lines""" (line text);
     CREATE ROLE "a guest" LOGIN PASSWORD 'guest'`,
  );
});
after(() => server.stop());

const look = async (facts: ConnectionFacts): Promise<(name: string) => Check> => {
  const checks = await checkSource(facts, needs);
  return (name) =>
    must(
      checks.find((check) => check.name === name),
      `${name} is checked`,
    );
};

/** Runs the SQL that failing checks give, as an operator would. */
async function mend(facts: ConnectionFacts): Promise<void> {
  for (const { ok, fix = '' } of await checkSource(facts, needs)) {
    if (ok === true) continue;
    for (const line of fix.split('\n').filter((each) => !each.startsWith('--'))) {
      await query(server, line.replace(/ -- .*/, ''));
    }
  }
}

describe('checkSource', () => {
  test('names what a role without rights lacks, on a server that keeps too little WAL', async () => {
    const check = await look(guest);
    const verdict = (name: string): unknown => [check(name).ok, check(name).fix];
    const both = '"Shop"."order ""lines""", "Shop"."orders"';
    assert.deepEqual(verdict('server version'), [true, undefined]);
    assert.deepEqual(verdict('wal_level'), [
      false,
      "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server",
    ]);
    assert.deepEqual(verdict('role'), [false, 'ALTER ROLE "a guest" REPLICATION;']);
    assert.deepEqual(verdict('select privilege'), [
      false,
      `GRANT USAGE ON SCHEMA "Shop" TO "a guest";\nGRANT SELECT ON ${both} TO "a guest";`,
    ]);
    assert.deepEqual(verdict('replica identity'), [
      false,
      'ALTER TABLE "Shop"."order ""lines""" REPLICA IDENTITY FULL;',
    ]);
    assert.deepEqual(verdict('publication the shop'), [
      false,
      `CREATE PUBLICATION "the shop" FOR TABLE ${both}; -- as the owner of the tables`,
    ]);
    assert.equal(check('max_slot_wal_keep_size').ok, 'warning');
    assert.deepEqual([check('slot shop').ok, check('tables').ok], [true, true]);
    assert.equal(check('replication connection').ok, false);
  });

  test('gives SQL that mends all but what needs a restart', async () => {
    await mend(guest);
    const failing = (await checkSource(guest, needs)).filter(({ ok }) => ok === false);
    assert.deepEqual(
      failing.map(({ name }) => name),
      ['wal_level'],
    );
  });

  test('sees a publication that others have narrowed', async () => {
    await query(server, `ALTER PUBLICATION "the shop" SET TABLE "Shop".orders`);
    const check = (await look(guest))('publication the shop');
    assert.equal(check.ok, false);
    assert.equal(check.found, 'without Shop.order "lines"');
    assert.equal((await look(server))('publication the shop').ok, true);
  });

  test('sees policies that would hide rows from a copy', async () => {
    await query(server, 'ALTER TABLE "Shop".orders ENABLE ROW LEVEL SECURITY');
    assert.equal((await look(guest))('row security').fix, 'ALTER ROLE "a guest" BYPASSRLS;');
    await mend(guest);
    assert.equal((await look(guest))('row security').ok, true);
  });

  test('cannot look without a login, and never repeats the password', async () => {
    const wrong = { ...server, password: 'not-the-password' };
    await assert.rejects(checkSource(wrong, needs), (error) => {
      assert.ok(error instanceof MillraceError);
      assert.equal(error.code, 'source_login_failed');
      assert.equal(error.message.includes('not-the-password'), false);
      return true;
    });
    await assert.rejects(checkSource({ ...server, port: 1 }, needs), {
      code: 'source_unreachable',
    });
  });
});

describe('checkSource, of a slot', () => {
  let ready: TemporaryPostgres;
  before(async () => {
    ready = await temporaryPostgres({ settings: { max_replication_slots: '1' } });
  });
  after(() => ready.stop());

  test('counts the free ones, and names those that could be dropped', async () => {
    await query(ready, `SELECT pg_create_logical_replication_slot('other', 'pgoutput')`);
    const check = must(
      (await checkSource(ready, needs)).find(({ name }) => name === 'max_replication_slots'),
      'it is checked',
    );
    assert.equal(check.ok, false);
    assert.match(check.fix ?? '', /SELECT pg_drop_replication_slot\('other'\);/);
  });

  test('refuses one of another plugin', async () => {
    const other = { ...needs, slot: 'physical' };
    await query(ready, `SELECT pg_drop_replication_slot('other')`);
    await query(ready, `SELECT pg_create_physical_replication_slot('physical')`);
    const check = (await checkSource(ready, other)).find(({ name }) => name === 'slot physical');
    assert.equal(check?.ok, false);
    assert.match(check?.found ?? '', /physical replication/);
  });
});
