import { PostgresSource } from '../../adapters/postgres/source.ts';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { captureProducer } from '../../capture/native-connector.ts';
import { remedyFor } from '../../domain/errors.ts';
import type { Lsn } from '../../domain/lsn.ts';
import { parsePosition } from '../../domain/position.ts';
import { Bell } from '../../lib/bell.ts';
import { systemClock } from '../../lib/clock.ts';
import { supervise } from '../../lib/supervise.ts';
import type { EventLog } from '../../ports/event-log.ts';
import { connectionOf, openLog, type Part } from '../compose.ts';
import { readConfig } from '../config/config.ts';
import { ConnectorPart } from './connector-part.ts';
import { DataDirectory } from '../config/data-directory.ts';
import type { CaptureOptions, UpEvent } from './launch.ts';
import { readConnector } from '../config/load-pipeline.ts';
import { openLogger } from '../logging.ts';
import { PartFailures } from './part-failures.ts';
import { RateMeter } from '../status/rate-meter.ts';
import { runParts } from './run-parts.ts';
import { StatusPublisher } from '../status/status-publisher.ts';
import { declaredTopics } from '../topics.ts';
import { partStateOf } from './worker-messages.ts';

const TICK_MS = 1000;
const LOOK_EVERY_MS = 20;

/**
 * Runs the connector alone, in this thread, into the data directory's log. Ends when `signal`
 * aborts or, where asked, when nothing is left to capture; throws what the connector can't mend.
 */
export async function runCapture(
  options: CaptureOptions,
  onEvent: (event: UpEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const startedAtMs = Date.now();
  const { env, connectorFile, untilIdleMs } = options;
  const places = readConfig(env, { dataDir: options.dataDir });
  const { dataDir, source, logLevel } = places;
  const server = source.kind === 'server' ? source.server : undefined;
  const config = readConnector(connectorFile, env, server);
  const connection = connectionOf(config, source);
  await using stack = new AsyncDisposableStack();
  stack.use(await DataDirectory.open(dataDir, 'capture'));
  const { logger } = stack.use(openLogger(dataDir, logLevel));
  const log = stack.use(await openLog(places, Bell.memory()));
  await log.createTopics(declaredTopics([]));
  const known = (await log.topics()).map(({ name, partitions }) => [name, partitions] as const);
  const part = stack.use(
    new ConnectorPart({
      log,
      config,
      connection,
      // Without a pipeline, what the log has is all that is known.
      partitions: Object.fromEntries(known),
      adoptSlot: options.adoptSlot,
      engine: { kind: 'native' },
      onChange: () => publisher.changed(),
    }),
  );
  const publisher = new StatusPublisher('capture', log, [part]);
  const failures = new PartFailures(logger, onEvent, Date.now);
  const telling = new AbortController();
  const told = runParts(
    [part.commands, ticker(part, failures, onEvent)],
    [publisher],
    (name, state) => failures.onState(name, partStateOf(state)),
    telling.signal,
  );
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  onEvent({ kind: 'ready', urls: {}, tookMs: Date.now() - startedAtMs });
  const watched =
    untilIdleMs === undefined
      ? Promise.resolve()
      : untilIdle(
          part,
          log,
          { connector: config.name, connection, idleMs: untilIdleMs },
          either,
        ).finally(() => done.abort());
  const [ended] = await Promise.all([
    supervise(part.name, (stop) => part.run(stop), {
      signal: either,
      retryOf: (error) => remedyFor(error).retry,
      clock: systemClock,
      random: Math.random,
      onState: (name, state) => failures.onState(name, partStateOf(state)),
    }).finally(() => done.abort()),
    watched,
  ]).finally(async () => {
    telling.abort();
    await told;
  });
  if (ended.state === 'failed') throw ended.error;
}

/**
 * Returns when nothing was appended for so long, and the log then reaches the end that the WAL
 * had: a quiet log alone may only mean that the server is slow to tell.
 */
async function untilIdle(
  part: ConnectorPart,
  log: EventLog,
  {
    connector,
    connection,
    idleMs,
  }: Readonly<{ connector: string; connection: ConnectionFacts; idleMs: number }>,
  signal: AbortSignal,
): Promise<void> {
  let seen = -1;
  let quietSinceMs = Date.now();
  let walEnd: Lsn | undefined;
  while (!signal.aborted) {
    const { changes, state } = part.status();
    if (changes !== seen || state !== 'streaming') {
      seen = changes;
      quietSinceMs = Date.now();
      walEnd = undefined;
    } else if (Date.now() - quietSinceMs >= idleMs) {
      walEnd ??= await walEndOf(connection);
      const position = await log.positionOf(captureProducer(connector));
      const end = position === undefined ? undefined : parsePosition(position).end;
      if (walEnd !== undefined && end !== undefined && end >= walEnd) return;
    }
    await systemClock.sleep(LOOK_EVERY_MS, signal);
  }
}

/** Undefined while the server is away: the connector says so, and tries again. */
async function walEndOf(connection: ConnectionFacts): Promise<Lsn | undefined> {
  try {
    await using source = await PostgresSource.open(connection);
    return await source.walInsertLsn();
  } catch (error) {
    if (remedyFor(error).retry === 'auto') return undefined;
    throw error;
  }
}

function ticker(
  part: ConnectorPart,
  failures: PartFailures,
  onEvent: (event: UpEvent) => void,
): Part {
  const rates = new RateMeter();
  return {
    name: 'ticker',
    async run(signal) {
      for (;;) {
        await systemClock.sleep(TICK_MS, signal);
        if (signal.aborted) return;
        const connector = part.status();
        rates.sample('', connector.atMs, connector.changes);
        failures.check(connector);
        const capturedPerSecond = rates.perSecond('');
        const event = { kind: 'tick', connector, processors: [], capturedPerSecond } as const;
        onEvent({ ...event, processedPerSecond: {} });
      }
    },
  };
}
