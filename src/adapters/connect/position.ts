import { MillraceError } from '../../domain/errors.ts';
import { formatLsn, type Lsn } from '../../domain/lsn.ts';
import type { Slot, SourceIdentity } from '../../ports/change-source.ts';
import type { SourceOffset } from './rest.ts';

/** How far Debezium has come, by what Connect has stored. */
export type StoredPosition = Readonly<{
  lsn: Lsn;
  /** The first copy is not at its end. */
  isCopying: boolean;
}>;

export type Beginning =
  /** There is no slot, or a copy that never came to its end: Debezium begins by its own rules. */
  | Readonly<{ how: 'afresh' }>
  | Readonly<{ how: 'go on' }>
  /** Somebody else has read from the slot: go on where it was confirmed. */
  | Readonly<{ how: 'adopt'; from: Lsn }>;

/** Of the offsets that Connect keeps for a connector of this topic prefix; undefined without one. */
export function positionIn(
  offsets: readonly SourceOffset[],
  topicPrefix: string,
): StoredPosition | undefined {
  const found = offsets.find(({ partition }) => partition['server'] === topicPrefix)?.offset;
  if (found === undefined || found === null) return undefined;
  // The last commit is what Debezium confirms; the others may lie before it, or be missing.
  const lsns = ['lsn', 'lsn_proc', 'lsn_commit']
    .map((name) => found[name])
    .filter((value) => typeof value === 'number')
    .map((value) => BigInt(value) as Lsn);
  const [first, ...rest] = lsns;
  if (first === undefined) return undefined;
  return {
    lsn: rest.reduce((most, each) => (each > most ? each : most), first),
    isCopying:
      'snapshot' in found &&
      found['snapshot'] !== 'INCREMENTAL' &&
      found['snapshot_completed'] !== true,
  };
}

/**
 * What Connect is to store, so that Debezium reads on from `lsn` and copies nothing. Not `lsn_proc`,
 * which says that a change standing there was written: the first new change may stand exactly where
 * the last commit ended.
 */
export function offsetAt(lsn: Lsn, topicPrefix: string): SourceOffset {
  return { partition: { server: topicPrefix }, offset: { lsn: Number(lsn) } };
}

/**
 * Decides where to begin, and refuses where changes would be lost in silence: Debezium would make a
 * missing slot anew, and the server skips what lies before the confirmed position of the slot.
 */
export function decideBeginning({
  stored,
  slot,
  server,
  slotName,
  hasRun,
  adoptSlot,
}: Readonly<{
  stored: StoredPosition | undefined;
  slot: Slot | undefined;
  server: SourceIdentity;
  slotName: string;
  /** The connector ran before: a slot without a position is that of its first copy. */
  hasRun: boolean;
  adoptSlot: boolean;
}>): Beginning {
  if (slot !== undefined) refuseUnusable(slot, slotName, server);
  if (slot === undefined) {
    if (stored === undefined || stored.isCopying) return { how: 'afresh' };
    throw new MillraceError('slot_missing', { slot: slotName, position: formatLsn(stored.lsn) });
  }
  const confirmed = slot.confirmedFlush;
  if (stored !== undefined) {
    if (confirmed === undefined || confirmed <= stored.lsn) return { how: 'go on' };
    if (adoptSlot) return { how: 'adopt', from: confirmed };
    throw new MillraceError('log_behind_slot', {
      slot: slotName,
      log: formatLsn(stored.lsn),
      confirmed: formatLsn(confirmed),
    });
  }
  if (hasRun) return { how: 'afresh' };
  if (adoptSlot && confirmed !== undefined) return { how: 'adopt', from: confirmed };
  throw new MillraceError('slot_exists', {
    slot: slotName,
    ...(confirmed !== undefined && { confirmed: formatLsn(confirmed) }),
  });
}

function refuseUnusable(slot: Slot, slotName: string, server: SourceIdentity): void {
  if (slot.walStatus === 'lost') throw new MillraceError('slot_lost', { slot: slotName });
  if (slot.plugin === 'pgoutput' && slot.database === server.database) return;
  throw new MillraceError('slot_exists', {
    slot: slotName,
    expected: `plugin pgoutput in database ${server.database}`,
    found: `plugin ${slot.plugin} in database ${slot.database}`,
  });
}
