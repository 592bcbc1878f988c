import { MillraceError } from '../domain/errors.ts';
import { formatLsn, type Lsn } from '../domain/lsn.ts';
import type { Position } from '../domain/position.ts';
import type { Slot, SourceIdentity } from '../ports/change-source.ts';

/** How capture begins, given what the log and the server hold. */
export type Start =
  /** No slot yet: create it, and copy in its snapshot. */
  | Readonly<{ how: 'create' }>
  /** The slot was created, but its snapshot is gone: copy in chunks while the stream flows. */
  | Readonly<{ how: 'copy-while-streaming'; from: Lsn }>
  | Readonly<{ how: 'adopt'; from: Lsn }>
  | Readonly<{ how: 'resume'; position: Position & { end: Lsn } }>;

/**
 * Decides how to start, and refuses where changes would be lost in silence: the server skips
 * without a word what lies between the position of the log and the confirmed position of the slot.
 * With `adoptSlot` somebody else, such as Debezium, has carried the slot on, and what lies between is theirs.
 */
export function decideStart(
  position: Position | undefined,
  slot: Slot | undefined,
  server: SourceIdentity,
  slotName: string,
  adoptSlot: boolean,
): Start {
  if (position !== undefined) refuseOtherSource(position, server, slotName);
  if (slot !== undefined) refuseUnusable(slot, slotName, server);
  if (position?.end !== undefined)
    return resume({ ...position, end: position.end }, slot, server, slotName, adoptSlot);
  if (slot === undefined) return { how: 'create' };
  const confirmed = slot.confirmedFlush;
  if (confirmed === undefined) throw new MillraceError('slot_exists', { slot: slotName });
  if (position !== undefined) return { how: 'copy-while-streaming', from: confirmed };
  if (adoptSlot) return { how: 'adopt', from: confirmed };
  throw new MillraceError('slot_exists', { slot: slotName, confirmed: formatLsn(confirmed) });
}

function resume(
  position: Position & { end: Lsn },
  slot: Slot | undefined,
  server: SourceIdentity,
  slotName: string,
  adoptSlot: boolean,
): Start {
  // Streaming would begin in the server's future, and leave out all until then.
  if (position.end > server.walEnd)
    throw new MillraceError('source_changed', {
      expected: `WAL up to ${formatLsn(position.end)}, which this log holds`,
      found: `a server whose WAL ends at ${formatLsn(server.walEnd)}`,
    });
  if (slot === undefined)
    throw new MillraceError('slot_missing', { slot: slotName, position: formatLsn(position.end) });
  const confirmed = slot.confirmedFlush;
  if (confirmed === undefined || confirmed <= position.end) return { how: 'resume', position };
  if (adoptSlot)
    return { how: 'resume', position: { ...position, end: confirmed, transaction: undefined } };
  throw new MillraceError('log_behind_slot', {
    slot: slotName,
    log: formatLsn(position.end),
    confirmed: formatLsn(confirmed),
  });
}

function refuseOtherSource(position: Position, server: SourceIdentity, slotName: string): void {
  if (position.systemId !== server.systemId)
    throw new MillraceError('source_changed', {
      expected: `system identifier ${position.systemId}`,
      found: server.systemId,
    });
  if (position.slot !== slotName)
    throw new MillraceError('source_changed', {
      expected: `slot.name ${position.slot}, whose position this log holds`,
      found: slotName,
    });
}

function refuseUnusable(slot: Slot, slotName: string, server: SourceIdentity): void {
  if (slot.walStatus === 'lost') throw new MillraceError('slot_lost', { slot: slotName });
  if (slot.plugin !== 'pgoutput' || slot.database !== server.database)
    throw new MillraceError('slot_exists', {
      slot: slotName,
      expected: `plugin pgoutput in database ${server.database}`,
      found: `plugin ${slot.plugin} in database ${slot.database}`,
    });
  refuseUsed(slot, slotName);
}

/** Throws `slot_in_use` while another process reads from the slot, or the server takes it that way. */
export function refuseUsed(slot: Slot | undefined, slotName: string): void {
  if (slot?.active === true) throw new MillraceError('slot_in_use', { slot: slotName });
}
