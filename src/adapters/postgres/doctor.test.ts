import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { must } from '../../lib/must.ts';
import { judgeSource } from './doctor.ts';
import type { Check, SourceNeeds } from './doctor-check.ts';
import type { Findings, TableFindings } from './doctor-findings.ts';

const needs: SourceNeeds = {
  slot: 'shop',
  publication: 'shop',
  publicationMode: 'filtered',
  tables: { matches: () => true },
};

const table = (part: Partial<TableFindings> = {}): TableFindings => ({
  oid: 1,
  schema: 'public',
  name: 'orders',
  columns: [],
  primaryKey: ['id'],
  uniqueKey: [],
  replicaIdentity: 'default',
  identityColumns: ['id'],
  estimatedRows: -1,
  kind: 'table',
  isReadable: true,
  hidesRows: false,
  isOwned: true,
  hasIdentityIndex: false,
  ...part,
});

const slot = (part: Partial<NonNullable<Findings['slot']>> = {}): Findings['slot'] => ({
  plugin: 'pgoutput',
  database: 'source_db',
  active: false,
  confirmedFlush: undefined,
  restartLsn: undefined,
  walStatus: 'reserved',
  retainedBytes: 0,
  lagBytes: 0,
  reader: '',
  ...part,
});

const GOOD: Findings = {
  server: {
    version: 170_002,
    isStandby: false,
    isRds: false,
    walLevel: 'logical',
    maxSlots: 10,
    slots: 0,
    inactiveSlots: [],
    maxWalSenders: 10,
    walSenders: 0,
    maxSlotWalKeepMb: 4096,
    walSenderTimeoutMs: 60_000,
  },
  role: {
    name: 'app',
    database: 'source_db',
    isSuperuser: false,
    mayReplicate: true,
    mayCreateInDatabase: true,
  },
  tables: [table()],
  publication: undefined,
  slot: undefined,
};

const server = (part: Partial<Findings['server']>): Partial<Findings> => ({
  server: { ...GOOD.server, ...part },
});
const role = (part: Partial<Findings['role']>): Partial<Findings> => ({
  role: { ...GOOD.role, ...part },
});

function judge(name: string, part: Partial<Findings>, mode = needs.publicationMode): Check {
  const checks = judgeSource({ ...GOOD, ...part }, { ...needs, publicationMode: mode });
  return must(
    checks.find((check) => check.name === name),
    `${name} is checked`,
  );
}

describe('judgeSource', () => {
  test('finds nothing wrong with a server that has all', () => {
    assert.deepEqual(
      judgeSource(GOOD, needs).filter(({ ok, fix }) => ok !== true || fix !== undefined),
      [],
    );
  });

  test('takes PostgreSQL 14 to 18, and warns of later ones', () => {
    const verdicts = [130_022, 140_000, 180_004, 190_000].map(
      (version) => judge('server version', server({ version })).ok,
    );
    assert.deepEqual(verdicts, [false, true, true, 'warning']);
  });

  test('sends a user of a standby to its primary', () => {
    assert.equal(judge('primary', server({ isStandby: true })).ok, false);
  });

  test("gives Amazon's servers the settings and the role that they know", () => {
    const rds = { isRds: true, walLevel: 'replica' };
    assert.match(judge('wal_level', server(rds)).fix ?? '', /rds.logical_replication/);
    const check = judge('role', { ...server(rds), ...role({ mayReplicate: false }) });
    assert.equal(check.fix, 'GRANT rds_replication TO "app";');
  });

  test('needs no free slot for one that exists, nor a walsender for one that is read', () => {
    const full = server({ slots: 10, walSenders: 10 });
    assert.equal(judge('max_replication_slots', full).ok, false);
    assert.equal(judge('max_wal_senders', full).ok, false);
    const busy = { ...full, slot: slot({ active: true }) };
    assert.equal(judge('max_replication_slots', busy).ok, true);
    assert.equal(judge('max_wal_senders', busy).ok, true);
  });

  test('knows which replica identities let UPDATE and DELETE through', () => {
    const cases: readonly [Partial<TableFindings>, boolean][] = [
      [{ replicaIdentity: 'default' }, true],
      [{ replicaIdentity: 'default', primaryKey: [] }, false],
      [{ replicaIdentity: 'full', primaryKey: [] }, true],
      [{ replicaIdentity: 'nothing' }, false],
      [{ replicaIdentity: 'index', hasIdentityIndex: true }, true],
      [{ replicaIdentity: 'index', hasIdentityIndex: false }, false],
    ];
    for (const [part, ok] of cases)
      assert.equal(judge('replica identity', { tables: [table(part)] }).ok, ok);
  });

  test('asks for a publication only what the mode needs', () => {
    const name = 'publication shop';
    const cases: readonly [Partial<Findings>, SourceNeeds['publicationMode'], boolean][] = [
      [{}, 'filtered', true],
      [role({ mayCreateInDatabase: false }), 'filtered', false],
      [{ tables: [table({ isOwned: false })] }, 'filtered', false],
      [{}, 'all_tables', false],
      [role({ isSuperuser: true }), 'all_tables', true],
      [role({ isSuperuser: true }), 'disabled', false],
    ];
    for (const [part, mode, ok] of cases) assert.equal(judge(name, part, mode).ok, ok);
  });

  test('takes a publication that exists when it fits, or when we may change it', () => {
    const name = 'publication shop';
    const of = (...names: string[]): NonNullable<Findings['publication']> => ({
      isForAll: false,
      isOwned: false,
      leavesOut: [],
      hasSchemas: false,
      named: new Set(names),
      tables: new Set(names),
    });
    const fitting = of('"public"."orders"');
    const publication = of('"public"."orders"', '"public"."more"');
    const cases: readonly [Partial<Findings>, SourceNeeds['publicationMode'], Check['ok']][] = [
      [{ publication: fitting }, 'filtered', true],
      [{ publication }, 'filtered', false],
      [{ publication: { ...publication, isOwned: true } }, 'filtered', true],
      [{ publication: { ...fitting, named: new Set(), hasSchemas: true } }, 'filtered', false],
      [{ publication: { ...fitting, named: new Set(), hasSchemas: true } }, 'disabled', true],
      [{ publication }, 'disabled', true],
      [{ publication: { ...publication, isForAll: true } }, 'all_tables', true],
      [{ publication: { ...publication, isOwned: true } }, 'all_tables', false],
      [{ publication: { ...fitting, leavesOut: ['DELETE'] } }, 'filtered', 'warning'],
    ];
    for (const [part, mode, ok] of cases) assert.equal(judge(name, part, mode).ok, ok);
  });

  test('tells a slot that may be read from one that may not', () => {
    const cases: readonly [Findings['slot'], Check['ok']][] = [
      [undefined, true],
      [slot(), true],
      [slot({ plugin: 'wal2json' }), false],
      [slot({ database: 'other' }), false],
      [slot({ walStatus: 'lost' }), false],
      [slot({ walStatus: 'unreserved' }), 'warning'],
      [slot({ retainedBytes: 2 * 1024 ** 3 }), 'warning'],
      [slot({ active: true, reader: 'process 7' }), 'warning'],
    ];
    for (const [found, ok] of cases) assert.equal(judge('slot shop', { slot: found }).ok, ok);
  });

  test('warns where a stopped reader would fill the disk, and where a slow one is cut off', () => {
    assert.equal(judge('max_slot_wal_keep_size', server({ maxSlotWalKeepMb: -1 })).ok, 'warning');
    assert.equal(judge('wal_sender_timeout', server({ walSenderTimeoutMs: 5000 })).ok, 'warning');
    assert.equal(judge('wal_sender_timeout', server({ walSenderTimeoutMs: 0 })).ok, true);
  });
});
