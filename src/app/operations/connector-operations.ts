import { MillraceError } from '../../domain/errors.ts';
import type { ConnectorStatus } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { type OperationContext, refuseAbsent, runningIn } from './operation-context.ts';

/** How long an order may take to show; what it does goes on after that. */
const OUTCOME_WAIT_MS = 10_000;

export function connectorStatus({ statuses, dataDir }: OperationContext): ConnectorStatus {
  const { connector } = statuses;
  if (connector === undefined)
    throw new MillraceError('not_running', { dir: dataDir, found: 'no connector ever ran' });
  return connector;
}

export async function setPaused(
  isPaused: boolean,
  context: OperationContext,
  signal: AbortSignal,
): Promise<ConnectorStatus> {
  const { commands, connector } = runningIn(context);
  await commands.send({ do: isPaused ? 'pause' : 'resume', connector: connector.name });
  return context.statuses.until(() => {
    const status = context.statuses.connector;
    refuseAbsent(context, 'connector');
    return status !== undefined && (status.state === 'paused') === isPaused ? status : undefined;
  }, signal);
}

export async function restartConnector(
  context: OperationContext,
  signal: AbortSignal,
): Promise<ConnectorStatus> {
  const { commands, connector } = runningIn(context);
  const before = context.statuses.connector;
  await commands.send({ do: 'restart', connector: connector.name });
  return shown(context, signal, (status) => status !== before && isAtWork(status));
}

export async function copyTables(
  { tables }: Readonly<{ tables: readonly string[] }>,
  context: OperationContext,
  signal: AbortSignal,
): Promise<ConnectorStatus> {
  const { commands, connector } = runningIn(context);
  const topics = await topicsOf(tables, connector.topicPrefix, context.log);
  const before = outcomeOf(context.statuses.connector);
  await commands.send({ do: 'copy', connector: connector.name, topics });
  return shown(context, signal, (status) => outcomeOf(status) !== before);
}

/** A table that had no rows and no changes yet has no topic: it cannot be copied, nor need be. */
async function topicsOf(
  tables: readonly string[],
  prefix: string,
  log: EventLog,
): Promise<readonly string[]> {
  const known = new Set((await log.topics()).map(({ name }) => name));
  return tables.map((table) => {
    const topic = [table, `${prefix}.${table}`].find((name) => known.has(name));
    if (topic !== undefined) return topic;
    const captured = [...known].filter((name) => name.startsWith(`${prefix}.`));
    throw new MillraceError('usage', {
      expected: `tables as schema.table, or topics: ${captured.join(', ') || 'none is captured yet'}`,
      found: table,
    });
  });
}

/** The status once it shows what was ordered, or what it is after a while. */
async function shown(
  context: OperationContext,
  signal: AbortSignal,
  isShown: (status: ConnectorStatus) => boolean,
): Promise<ConnectorStatus> {
  const { statuses, clock } = context;
  const deadlineMs = clock() + OUTCOME_WAIT_MS;
  return statuses.until(() => {
    const status = statuses.connector;
    refuseAbsent(context, 'connector');
    return status !== undefined && (isShown(status) || clock() >= deadlineMs) ? status : undefined;
  }, signal);
}

function isAtWork({ state }: ConnectorStatus): boolean {
  return state === 'copying' || state === 'streaming';
}

function outcomeOf(status: ConnectorStatus | undefined): string {
  return JSON.stringify([status?.copy, status?.problem]);
}
