import pg from 'pg';
import type { Check } from './doctor-check.ts';
import type { Findings } from './doctor-findings.ts';

const { escapeIdentifier, escapeLiteral } = pg;

const OLDEST_MAJOR = 14;
const NEWEST_MAJOR = 18;
/** A reader that hears nothing for this long has died; our own reports are seconds apart. */
const SHORTEST_TIMEOUT_MS = 10_000;

/** What capture needs of the server as a whole, and of the role it logs in as. */
export function judgeServer(findings: Findings): readonly Check[] {
  return [
    checkVersion(findings),
    checkPrimary(findings),
    checkWalLevel(findings),
    checkFreeSlot(findings),
    checkFreeWalSender(findings),
    checkWalLimit(findings),
    checkTimeout(findings),
    checkRole(findings),
  ];
}

function checkVersion({ server: { version } }: Findings): Check {
  const major = Math.floor(version / 10_000);
  const check = {
    name: 'server version',
    expected: `PostgreSQL ${OLDEST_MAJOR} to ${NEWEST_MAJOR}`,
    found: `PostgreSQL ${major}.${version % 10_000}`,
  };
  if (major < OLDEST_MAJOR)
    return { ...check, ok: false, fix: '-- Upgrade the server, for instance with pg_upgrade.' };
  if (major > NEWEST_MAJOR)
    return { ...check, ok: 'warning', fix: '-- This version has not been tried with this server.' };
  return { ...check, ok: true };
}

function checkPrimary({ server: { isStandby } }: Findings): Check {
  const check = { name: 'primary', expected: 'a primary server' };
  return isStandby
    ? { ...check, ok: false, found: 'a standby', fix: '-- Point POSTGRES_HOST at the primary.' }
    : { ...check, ok: true, found: 'a primary server' };
}

function checkWalLevel({ server: { walLevel, isRds } }: Findings): Check {
  const check = { name: 'wal_level', expected: 'logical', found: walLevel };
  if (walLevel === 'logical') return { ...check, ok: true };
  return {
    ...check,
    ok: false,
    fix: isRds
      ? '-- Set rds.logical_replication = 1 in the parameter group, then reboot.'
      : "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server",
  };
}

function checkFreeSlot({ server, slot }: Findings): Check {
  const { slots, maxSlots, inactiveSlots } = server;
  const isMissing = slot === undefined && slots >= maxSlots;
  const unused = inactiveSlots.map(
    (name) => `SELECT pg_drop_replication_slot(${escapeLiteral(name)});`,
  );
  const drop = unused.length > 0 ? `\n-- or drop one that nobody needs:\n${unused.join('\n')}` : '';
  return {
    name: 'max_replication_slots',
    ok: !isMissing,
    expected: slot === undefined ? 'a free slot' : 'the slot that exists',
    found: `${maxSlots}, ${slots} in use`,
    ...(isMissing && {
      fix: `ALTER SYSTEM SET max_replication_slots = ${roomFor(slots)}; -- then restart the server${drop}`,
    }),
  };
}

function checkFreeWalSender({ server: { walSenders, maxWalSenders }, slot }: Findings): Check {
  // While the slot is read, the walsender for it is there.
  const isMissing = slot?.active !== true && walSenders >= maxWalSenders;
  return {
    name: 'max_wal_senders',
    ok: !isMissing,
    expected: slot?.active === true ? 'the walsender that reads the slot' : 'a free walsender',
    found: `${maxWalSenders}, ${walSenders} in use`,
    ...(isMissing && {
      fix: `ALTER SYSTEM SET max_wal_senders = ${roomFor(walSenders)}; -- then restart the server`,
    }),
  };
}

function roomFor(used: number): number {
  return Math.max(10, used + 5);
}

function checkWalLimit({ server: { maxSlotWalKeepMb, isRds } }: Findings): Check {
  const isUnlimited = maxSlotWalKeepMb === -1;
  return {
    name: 'max_slot_wal_keep_size',
    ok: isUnlimited ? 'warning' : true,
    expected: 'a limit: WAL kept for a stopped reader fills the disk',
    found: isUnlimited ? 'no limit' : `${maxSlotWalKeepMb} MB`,
    ...(isUnlimited && {
      fix: isRds
        ? '-- Set max_slot_wal_keep_size in the parameter group, to what the disk can spare.'
        : "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; -- what the disk can spare\nSELECT pg_reload_conf();",
    }),
  };
}

function checkTimeout({ server: { walSenderTimeoutMs } }: Findings): Check {
  const isShort = walSenderTimeoutMs > 0 && walSenderTimeoutMs < SHORTEST_TIMEOUT_MS;
  return {
    name: 'wal_sender_timeout',
    ok: isShort ? 'warning' : true,
    expected: `0 or at least ${SHORTEST_TIMEOUT_MS} ms`,
    found: `${walSenderTimeoutMs} ms`,
    ...(isShort && {
      fix: "ALTER SYSTEM SET wal_sender_timeout = '60s';\nSELECT pg_reload_conf();",
    }),
  };
}

function checkRole({ role, server: { isRds } }: Findings): Check {
  const name = escapeIdentifier(role.name);
  return {
    name: 'role',
    ok: role.mayReplicate,
    expected: isRds ? 'a member of rds_replication' : 'the attribute REPLICATION',
    found: `${role.name} ${role.mayReplicate ? 'may replicate' : 'may not replicate'}`,
    ...(!role.mayReplicate && {
      fix: isRds ? `GRANT rds_replication TO ${name};` : `ALTER ROLE ${name} REPLICATION;`,
    }),
  };
}
