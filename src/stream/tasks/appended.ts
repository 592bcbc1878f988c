import type { Cause, OutgoingRecord } from '../../ports/store.ts';

/**
 * The last records of a task that are in the log, by what caused them: of those processed in their
 * turn, and of parked ones that were processed again. Stored as the position of the task's
 * producer, with the records.
 */
export type Appended = Readonly<{
  turn?: InTurn;
  replay?: Extract<Cause, { replay: string }>;
}>;

type InTurn = Extract<Cause, { offset: number }>;
type Outgoing = Readonly<{ record: OutgoingRecord }>;

export function parseAppended(position: string | undefined): Appended {
  return position === undefined ? {} : (JSON.parse(position) as Appended);
}

/**
 * Those of a task's oldest outgoing records that are not in the log yet.
 *
 * The numbers that the store gives would not tell: a store that lost commits gives them out again,
 * and an operator's order need not come again. So a record is known by its cause.
 * - In turn, records come in the order of their offsets in every life of the store: what is not
 *   after the last one appended was appended. Not so an output at one of the offsets `parked`:
 *   there a dead letter was appended, in a life in which the record was parked.
 * - An order has a name of its own, and is never obeyed twice: the record of it that was appended
 *   last, and those of orders before it, are in the log. After a store forgot an order, an operator
 *   gives another, and what it puts out is appended again, with the same `millrace.id`.
 */
export function notAppended<Each extends Outgoing>(
  outgoing: readonly Each[],
  { turn, replay }: Appended,
  { deadLetterTopic, parked }: Readonly<{ deadLetterTopic: string; parked: ReadonlySet<number> }>,
): readonly Each[] {
  const lastReplayed = outgoing.findLastIndex(
    ({ record: { cause } }) =>
      'replay' in cause && cause.replay === replay?.replay && cause.index <= replay.index,
  );
  return outgoing.filter(({ record: { cause, topic } }, at) => {
    if ('replay' in cause) return at > lastReplayed;
    return isAfter(cause, turn) || (topic !== deadLetterTopic && parked.has(cause.offset));
  });
}

/** Whether a record is processed once more in its turn, so that `notAppended` must know what was parked. */
export function isTurnRepeated(outgoing: readonly Outgoing[], { turn }: Appended): boolean {
  return outgoing.some(({ record: { cause } }) => 'offset' in cause && !isAfter(cause, turn));
}

/** What is in the log once these records are too. */
export function withAppended(appended: Appended, records: readonly Outgoing[]): Appended {
  let { turn, replay } = appended;
  for (const { record } of records) {
    if ('replay' in record.cause) replay = record.cause;
    else if (isAfter(record.cause, turn)) turn = record.cause;
  }
  return { ...(turn && { turn }), ...(replay && { replay }) };
}

function isAfter({ offset, index }: InTurn, turn: InTurn | undefined): boolean {
  if (turn === undefined || offset > turn.offset) return true;
  return offset === turn.offset && index > turn.index;
}
