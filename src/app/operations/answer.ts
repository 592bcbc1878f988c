import { MillraceError } from '../../domain/errors.ts';
import { globMatcher, isGlob, literalPrefixOf } from '../../lib/glob.ts';
import type { Store } from '../../ports/store.ts';
import { SHADOW } from '../../stream/rebuild/generation-store.ts';
import {
  connectorStatus,
  copyTables,
  restartConnector,
  setPaused,
} from './connector-operations.ts';
import { consume } from './consume.ts';
import { findDeadLetter, listDeadLetters, settleDeadLetters } from './dead-letter-operations.ts';
import { type OperationContext, runningIn, storeIn } from './operation-context.ts';
import type {
  ArgumentsOf,
  OperationName,
  Operations,
  ScanArguments,
  StoreEntry,
  ValueOf,
} from './operations.ts';
import { query } from './query.ts';
import { replay } from './replay.ts';
import { flushLake, serveModels } from './batch-operations.ts';
import { reconcile } from '../reconcile/reconcile.ts';
import { readStatus, readTopics } from '../status/status-report.ts';

type Answer<Name extends OperationName> = (
  args: ArgumentsOf<Name>,
  context: OperationContext,
  signal: AbortSignal,
) => AsyncIterable<ValueOf<Name>>;

/** How each operation is answered, in whichever process has log and store. */
const ANSWERS: { readonly [Name in keyof Operations]: Answer<Name> } = {
  status: (_, context) => once(() => readStatus(context)),
  topics: (_, { log }) => readTopics(log),
  consume: (args, { log }, signal) => consume(log, args, signal),
  'store.get': ({ key }, context) =>
    once(async () => entryOf(storeIn(context), key, context.clock())),
  'store.keys': (args, context, signal) => keys(args, context, signal),
  'store.scan': (args, context, signal) => scan(args, context, signal),
  'dlq.list': ({ processor }, context) => listDeadLetters(storeIn(context), processor),
  'dlq.show': ({ id }, context) => once(async () => findDeadLetter(storeIn(context), id)),
  'dlq.replay': (target, context, signal) =>
    once(() => settleDeadLetters('replay', target, context, signal)),
  'dlq.drop': (target, context, signal) =>
    once(() => settleDeadLetters('drop', target, context, signal)),
  query: (args, context) => query(args, context),
  replay: (args, context, signal) => replay(args, context, signal),
  'lake.flush': (_, context) => once(() => flushLake(context)),
  'models.serve': (args, context) => once(() => serveModels(args, context)),
  reconcile: (args, context, signal) => reconcile(args, context, signal),
  'connector.status': (_, context) => once(async () => connectorStatus(context)),
  'connector.pause': (_, context, signal) => once(() => setPaused(true, context, signal)),
  'connector.resume': (_, context, signal) => once(() => setPaused(false, context, signal)),
  'connector.restart': (_, context, signal) => once(() => restartConnector(context, signal)),
  'connector.copy': (args, context, signal) => once(() => copyTables(args, context, signal)),
  source: (_, context) => once(async () => runningIn(context).source),
  stop: (_, context) => once(async () => stop(context)),
};

/** Answers an operation that came by its name; `usage` when there is none of that name. */
export async function* answerOperation(
  name: string,
  args: unknown,
  context: OperationContext,
  signal: AbortSignal,
): AsyncGenerator<unknown, void> {
  if (!Object.hasOwn(ANSWERS, name))
    throw new MillraceError('usage', { expected: Object.keys(ANSWERS).join(', '), found: name });
  // Both sides are this program; a socket of another version is met by the check of the format.
  const answer = ANSWERS[name as OperationName] as unknown as Answer<never>;
  yield* answer((args ?? {}) as never, context, signal);
}

function stop(context: OperationContext): { pid: number } {
  const { process } = runningIn(context);
  if (process === undefined) throw new MillraceError('not_running', { dir: context.dataDir });
  process.stop();
  return { pid: process.pid };
}

async function* once<T>(answer: () => Promise<T>): AsyncGenerator<T, void> {
  yield await answer();
}

async function* keys(
  { pattern, limit = Infinity }: ScanArguments,
  context: OperationContext,
  signal: AbortSignal,
): AsyncGenerator<{ key: string }, void> {
  const isWanted = isGlob(pattern) ? globMatcher(pattern) : () => true;
  let left = limit;
  for await (const key of storeIn(context).keys(literalPrefixOf(pattern), context.clock())) {
    if (signal.aborted || left <= 0) return;
    if (!isWanted(key) || isHidden(key, pattern)) continue;
    yield { key };
    left -= 1;
  }
}

/** What a rebuild has not finished is shown to who asks for just that. */
function isHidden(key: string, pattern: string): boolean {
  return key.startsWith(SHADOW) && !pattern.startsWith(SHADOW);
}

async function* scan(
  args: ScanArguments,
  context: OperationContext,
  signal: AbortSignal,
): AsyncGenerator<StoreEntry, void> {
  for await (const { key } of keys(args, context, signal)) {
    const entry = await entryOf(storeIn(context), key, context.clock());
    // Gone since its key was listed.
    if (entry.type !== 'absent') yield entry;
  }
}

async function entryOf(store: Store, key: string, nowMs: number): Promise<StoreEntry> {
  const found = await store.get(key, nowMs);
  return found === undefined ? { key, type: 'absent' } : { key, ...found };
}
