import { randomUUID } from 'node:crypto';
import type { ConnectorStatus } from '../domain/status.ts';
import type { EventLog } from '../ports/event-log.ts';
import { CommandSender } from './command-sender.ts';
import { StatusBoard } from './status-board.ts';

/**
 * Asks the connector, wherever it runs, to copy the table behind `topic` anew. Resolves once the
 * command is durable: until a connector works, nobody would obey it, so it waits for one. Rejects
 * when `signal` aborts.
 */
export async function requestCopy(
  log: EventLog,
  connector: string,
  topic: string,
  signal: AbortSignal,
): Promise<void> {
  const statuses = new StatusBoard(log);
  await statuses.load();
  const found = new AbortController();
  const following = statuses.run(AbortSignal.any([signal, found.signal]));
  try {
    await Promise.race([following, statuses.until(() => isAtWork(statuses.connector), signal)]);
    const sender = new CommandSender(log, Date.now, `copy request ${randomUUID()}`);
    await sender.send({ do: 'copy', connector, topics: [topic] });
  } finally {
    found.abort();
    await following.catch(() => undefined); // told by the race
  }
}

function isAtWork(connector: ConnectorStatus | undefined): true | undefined {
  return connector?.state === 'streaming' || connector?.state === 'copying' ? true : undefined;
}
