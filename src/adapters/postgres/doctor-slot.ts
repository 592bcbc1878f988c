import pg from 'pg';
import type { Check, SourceNeeds } from './doctor-check.ts';
import type { Findings } from './doctor-findings.ts';

/** More than this waiting for a slot that nobody reads, and somebody should know. */
const MUCH_WAL_BYTES = 1024 ** 3;

/** Whether the slot can be read from where it stands. */
export function judgeSlot({ slot, role }: Findings, needs: SourceNeeds): Check {
  const name = `slot ${needs.slot}`;
  const expected = 'none yet, or one of ours that lost nothing';
  if (slot === undefined) return { name, ok: true, expected, found: 'none yet' };
  const drop = `SELECT pg_drop_replication_slot(${pg.escapeLiteral(needs.slot)});`;
  if (slot.plugin !== 'pgoutput' || slot.database !== role.database) {
    const found = `a slot of ${slot.plugin || 'physical replication'}, database ${slot.database || 'none'}`;
    const fix = `${drop} -- if nobody needs it; else choose another slot.name`;
    return { name, ok: false, expected, found, fix };
  }
  if (slot.walStatus === 'lost') {
    const fix = `${drop} -- then \`millrace reset\`, so that the tables are copied again`;
    return { name, ok: false, expected, found: 'lost: the server removed WAL it needed', fix };
  }
  const retained = slot.retainedBytes ?? 0;
  const state = slot.active ? `read by ${slot.reader}` : 'read by nobody';
  const found = `${state}, keeps ${inMegabytes(retained)} of WAL`;
  if (slot.active) {
    const fix =
      '-- One process at a time reads a slot: stop that one, unless it is the Millrace you mean.';
    return { name, ok: 'warning', expected, found, fix };
  }
  if (slot.walStatus === 'unreserved' || retained > MUCH_WAL_BYTES) {
    const fix = `-- Start capture soon, or, if it is not coming back:\n${drop}`;
    return { name, ok: 'warning', expected, found, fix };
  }
  return { name, ok: true, expected, found };
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}
