import { MillraceError } from '../../domain/errors.ts';
import { formatLsn } from '../../domain/lsn.ts';
import type { Store } from '../../ports/store.ts';
import { refuseDuringCopy, untilCaptured } from './capture-progress.ts';
import {
  type OperationContext,
  type RunningParts,
  runningIn,
  storeIn,
} from '../operations/operation-context.ts';
import type { ReconcileArguments, ReconcileEvent } from '../operations/operations.ts';
import type { Pipeline, StoreReader } from '../pipeline.ts';
import { ProcessorHold } from './processor-hold.ts';
import { partitionsOfProcessors } from './processor-partitions.ts';
import { createSnapshotSlot } from './snapshot-slot.ts';
import { findTargets } from './snapshot-targets.ts';
import { StoreRest } from './store-rest.ts';

const NAME_BLOCKERS_AFTER_MS = 30_000;
/** How often workers may come and go before the comparison is given up. */
const MAX_ATTEMPTS = 3;

type Comparison = NonNullable<Pipeline['reconcile']>;

/**
 * Proves that the store equals the source, while both go on moving.
 *
 * A temporary slot gives a snapshot and the point in the WAL where it was taken. In each partition
 * the records of the snapshot are exactly those before the first whose transaction it does not
 * see; with the processors at rest there, the store must show what a query in the snapshot shows.
 * The processors go on as soon as the comparison is over, however it ends.
 *
 * Where workers come and go the processors may be disturbed in their rest: then all begins anew,
 * unless figures were told already.
 */
export async function* reconcile(
  args: ReconcileArguments,
  context: OperationContext,
  signal: AbortSignal,
): AsyncGenerator<ReconcileEvent, void> {
  const startedMs = context.clock();
  const running = runningIn(context);
  const compare = running.pipeline.reconcile;
  if (compare === undefined)
    throw new MillraceError('usage', {
      expected: 'a pipeline that says how source and store compare (`reconcile` in pipeline.ts)',
      found: running.pipeline.name,
    });
  await refuseDuringCopy(context, running);
  let figures = 0;
  let differences = 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      for await (const event of comparison(compare, args, context, running, signal)) {
        if (event.kind === 'figure') figures += 1;
        if (event.kind === 'figure' && !event.equal) differences += 1;
        yield event;
      }
      break;
    } catch (error) {
      const isDisturbed = error instanceof MillraceError && error.code === 'reconcile_disturbed';
      if (!isDisturbed || figures > 0 || attempt === MAX_ATTEMPTS) throw error;
      yield progress(
        `once more: expected ${String(error.facts['expected'])}, found ${String(error.facts['found'])}`,
      );
    }
  }
  yield { kind: 'summary', figures, differences, tookMs: context.clock() - startedMs };
}

async function* comparison(
  compare: Comparison,
  { nameBlockersAfterMs = NAME_BLOCKERS_AFTER_MS }: ReconcileArguments,
  context: OperationContext,
  { pipeline, commands, openSource, ...running }: RunningParts,
  signal: AbortSignal,
): AsyncGenerator<ReconcileEvent, void> {
  const { log, statuses, clock } = context;
  const store = storeIn(context);
  // Rows are mirrored by processors of changes; what topologies make of them has its own times.
  const mirroring = pipeline.processors.filter((processor) => 'topics' in processor);
  const processors = await partitionsOfProcessors(mirroring, log);
  await using source = await openSource();
  await using hold = new ProcessorHold({ commands, statuses, processors });
  yield progress('holding the processors');
  const held = await hold.place('now', signal);
  yield progress('taking a snapshot of the source');
  await using creating = createSnapshotSlot(source, { nameBlockersAfterMs, clock }, signal);
  for await (const message of creating.blockers) yield progress(message);
  const { consistentPoint, snapshot } = await creating.created;
  yield progress(`waiting until capture has passed ${formatLsn(consistentPoint)}`);
  await untilCaptured(source, consistentPoint, context, running, signal);
  const targets = await findTargets(log, processors, held, snapshot.visible, signal);
  yield progress('moving the processors to the snapshot');
  await hold.place(targets, signal);
  const rest = await StoreRest.prove({ store, log, processors, targets }, signal);
  const query = (...given: Parameters<typeof snapshot.query>) => snapshot.query(...given);
  for await (const figure of compare(query, readerOf(store, clock))) {
    signal.throwIfAborted();
    // Worth another look, at the first sign that it is in vain.
    if (!hold.isKept()) await rest.check();
    yield { kind: 'figure', ...figure, equal: figure.source === figure.store };
  }
  await rest.check();
}

function progress(message: string): ReconcileEvent {
  return { kind: 'progress', message };
}

function readerOf(store: Store, clock: () => number): StoreReader {
  return {
    async get(key) {
      const found = await store.get(key, clock());
      return found?.type === 'string' ? found.value : undefined;
    },
    async members(key) {
      const found = await store.get(key, clock());
      return found?.type === 'set' ? found.members : [];
    },
    keys: (prefix) => store.keys(prefix, clock()),
  };
}
