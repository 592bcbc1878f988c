import { randomUUID } from 'node:crypto';
import type { ConnectorStatus } from '../domain/status.ts';
import type { EventLog } from '../ports/event-log.ts';
import { CommandSender } from './command-sender.ts';
import { StatusBoard } from './status-board.ts';

/**
 * Asks the connector, wherever it runs, to copy the table behind `topic` anew. Resolves once the
 * command is durable: until a connector works, nobody would obey it, so it waits to hear of one. Rejects
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
  const before = statuses.connector;
  const isThere = (): true | undefined => {
    const { connector } = statuses;
    if (connector === undefined || !isAtWork(connector)) return undefined;
    return connector !== before || isOfThisProcess(connector) || undefined;
  };
  const found = new AbortController();
  const following = statuses.run(AbortSignal.any([signal, found.signal]));
  try {
    await Promise.race([following, statuses.until(isThere, signal)]);
    await using sender = new CommandSender(log, Date.now, `copy request ${randomUUID()}`);
    await sender.send({ do: 'copy', connector, topics: [topic] });
  } finally {
    found.abort();
    await following.catch(() => undefined); // told by the race
  }
}

function isAtWork({ state }: ConnectorStatus): boolean {
  return state === 'streaming' || state === 'copying';
}

/**
 * What one process that runs everything told since it began. All else may have been told by somebody
 * who was killed since: a worker that lives tells again within seconds.
 */
function isOfThisProcess({ worker, atMs }: ConnectorStatus): boolean {
  return worker === undefined && atMs >= Date.now() - process.uptime() * 1000;
}
