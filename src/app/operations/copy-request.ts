import { randomUUID } from 'node:crypto';
import type { ConnectorStatus } from '../../domain/status.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { CommandSender } from './command-sender.ts';
import { StatusBoard } from '../status/status-board.ts';

/** A connector that has worked for so long since has read the command, whatever it shows of it. */
const SHOWN_WITHIN_MS = 20_000;

/**
 * Asks the connector, wherever it runs, to copy the table behind `topic` anew. Resolves once its
 * status shows it: until a connector works, nobody would obey, so it waits to hear of one, and asks
 * the next if that one ends before. Rejects when `signal` aborts.
 */
export async function requestCopy(
  log: EventLog,
  connector: string,
  topic: string,
  signal: AbortSignal,
): Promise<void> {
  const statuses = new StatusBoard(log);
  await statuses.load();
  const stop = new AbortController();
  const following = statuses.run(AbortSignal.any([signal, stop.signal]));
  const until = async <T>(find: () => T | undefined): Promise<T> => {
    const [found] = await Promise.race([
      statuses.until(() => wrapped(find()), signal),
      following.then(() => new Promise<never>(() => {})),
    ]);
    return found;
  };
  await using sender = new CommandSender(log, Date.now, `copy request ${randomUUID()}`);
  try {
    for (let before = statuses.connector; ; before = undefined) {
      const asked = await until(() => livingOf(statuses.connector, before));
      await sender.send({ do: 'copy', connector, topics: [topic] });
      let sinceMs = performance.now();
      const isObeyed = await until(() => {
        const now = statuses.connector;
        if (!isAtWork(now)) sinceMs = performance.now();
        return outcomeOf(now, { asked, topic, sinceMs });
      });
      if (isObeyed) return;
    }
  } finally {
    stop.abort();
    await following.catch(() => undefined); // told by the race
  }
}

function wrapped<T>(found: T | undefined): readonly [T] | undefined {
  return found === undefined ? undefined : [found];
}

function livingOf(
  now: ConnectorStatus | undefined,
  before: ConnectorStatus | undefined,
): ConnectorStatus | undefined {
  if (now === undefined || !isAtWork(now)) return undefined;
  return now !== before || isOfThisProcess(now) ? now : undefined;
}

function isAtWork(status: ConnectorStatus | undefined): boolean {
  return status?.state === 'streaming' || status?.state === 'copying';
}

/**
 * What one process that runs everything told since it began. All else may have been told by somebody
 * who was killed since: a worker that lives tells again within seconds.
 */
function isOfThisProcess({ worker, atMs }: ConnectorStatus): boolean {
  return worker === undefined && atMs >= Date.now() - process.uptime() * 1000;
}

/** Whether it was obeyed or will not be; undefined while that is open. */
function outcomeOf(
  now: ConnectorStatus | undefined,
  { asked, topic, sinceMs }: Readonly<{ asked: ConnectorStatus; topic: string; sinceMs: number }>,
): boolean | undefined {
  if (now === undefined || now.worker !== asked.worker || now.state === 'stopped') return false;
  // While the source is away the order waits, and what it tells is not about the order.
  if (!isAtWork(now)) return undefined;
  const isShown = shownOf(now, topic) !== shownOf(asked, topic);
  return isShown || performance.now() - sinceMs >= SHOWN_WITHIN_MS || undefined;
}

function shownOf({ copy = [], problem }: ConnectorStatus, topic: string): string {
  // As the topic names it, with the prefix before it.
  const nameOf = (table: string) => table.replaceAll(/[^a-zA-Z0-9._-]/g, '_');
  return JSON.stringify([copy.find(({ table }) => topic.endsWith(`.${nameOf(table)}`)), problem]);
}
