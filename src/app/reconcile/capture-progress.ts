import { setTimeout as wait } from 'node:timers/promises';
import { EMPTY_CHANGE } from '../../adapters/connect/options.ts';
import type { PostgresSource } from '../../adapters/postgres/source.ts';
import { captureProducer } from '../../capture/native-connector.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { Lsn } from '../../domain/lsn.ts';
import { parsePosition, type Position } from '../../domain/position.ts';
import type { ConnectorStatus } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import type { OperationContext, RunningParts } from '../operations/operation-context.ts';

const LOOK_EVERY_MS = 20;
/** Debezium stores an offset with each record, and an idle source gives it none. */
const NUDGE_EVERY_MS = 2000;

/** Rows that are being copied are in the snapshot, but not yet in the log. */
export async function refuseDuringCopy(
  { log, statuses }: OperationContext,
  { connector, engine }: RunningParts,
): Promise<void> {
  const isCopying =
    engine === 'native' ? await hasCopyToDo(log, connector.name) : !hasCopied(statuses.connector);
  if (!isCopying) return;
  throw new MillraceError('reconcile_not_possible', {
    found: 'tables are being copied',
    expected: 'the copy at its end: see `millrace status`',
  });
}

/** What is left to copy stands in the position, however lately the connector has told of itself. */
async function hasCopyToDo(log: EventLog, connector: string): Promise<boolean> {
  const position = await positionOf(log, connector);
  return position?.end === undefined || (position.copy ?? []).length > 0;
}

function hasCopied(status: ConnectorStatus | undefined): boolean {
  if (status === undefined || status.state === 'starting' || status.state === 'copying')
    return false;
  return (status.copy ?? []).every(({ done }) => done);
}

/**
 * Resolves once all changes before `point` are in the log. The slot tells, whichever connector reads
 * it: each confirms only what is durable. An embedded log tells sooner.
 */
export async function untilCaptured(
  source: PostgresSource,
  point: Lsn,
  { log, statuses, servers }: OperationContext,
  { connector, engine }: Pick<RunningParts, 'connector' | 'engine'>,
  signal: AbortSignal,
): Promise<void> {
  let nudgedAtMs = performance.now();
  for (;;) {
    const captured =
      servers?.kafka === undefined
        ? (await positionOf(log, connector.name))?.end
        : await confirmedFlush(source, connector.slot);
    if (captured !== undefined && captured >= point) return;
    refuseAtRest(statuses.connector);
    if (engine === 'debezium' && performance.now() - nudgedAtMs >= NUDGE_EVERY_MS) {
      await source.query(EMPTY_CHANGE);
      nudgedAtMs = performance.now();
    }
    await wait(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function positionOf(log: EventLog, connector: string): Promise<Position | undefined> {
  const text = await log.positionOf(captureProducer(connector));
  return text === undefined ? undefined : parsePosition(text);
}

async function confirmedFlush(source: PostgresSource, name: string): Promise<Lsn | undefined> {
  const slot = await source.slot(name);
  if (slot !== undefined) return slot.confirmedFlush;
  throw new MillraceError('reconcile_not_possible', {
    expected: `slot ${name}, which the connector reads`,
    found: 'no such slot',
  });
}

function refuseAtRest(status: ConnectorStatus | undefined): void {
  const { state, problem } = status ?? {};
  if (state !== 'failed' && state !== 'paused' && state !== 'stopped') return;
  throw new MillraceError('reconcile_not_possible', {
    expected: 'the connector streaming',
    found: problem ?? state,
  });
}
