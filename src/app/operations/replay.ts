import { setTimeout as wait } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';
import type { EventLog, TopicPartition } from '../../ports/event-log.ts';
import { loadState } from '../../stream/rebuild/generation-state.ts';
import { requestRebuild } from '../../stream/rebuild/rebuild-requests.ts';
import { compiledOf, processorPart } from '../compose.ts';
import type { Pipeline } from '../pipeline.ts';
import { REBUILDS } from '../topics.ts';
import { partitionsOfTopic } from './consume.ts';
import { type OperationContext, runningIn, storeIn } from './operation-context.ts';
import type { ReplayArguments, ReplayEvent } from './operations.ts';

const LOOK_EVERY_MS = 200;

/** Asks for a processor's results to be built anew; with `wait`, tells how that goes until they are served. */
export async function* replay(
  args: ReplayArguments,
  context: OperationContext,
  signal: AbortSignal,
): AsyncGenerator<ReplayEvent, void> {
  const { processor } = args;
  const { log, clock, statuses } = context;
  const { pipeline, waitingFor } = runningIn(context);
  const store = storeIn(context);
  const from = await startOf(log, sourcesOf(pipeline, processor), args.from);
  const startedMs = clock();
  const generation = await requestRebuild(log, REBUILDS, { processor, from, nowMs: startedMs });
  const status = statuses.processor(processor);
  const isTriedAgain = waitingFor(processorPart(processor)) !== undefined;
  const isAtWork = status !== undefined && !['failed', 'stopped'].includes(status.state);
  const { problem } = status ?? {};
  yield {
    kind: 'asked',
    processor,
    generation,
    isRunning: isAtWork || isTriedAgain,
    ...(problem !== undefined && { problem }),
  };
  if (!args.wait || !(isAtWork || isTriedAgain)) return;
  let told = '';
  for (;;) {
    const { state } = await loadState(store, processor);
    if (state.current >= generation) break;
    const { rebuild } = statuses.processor(processor) ?? {};
    if (rebuild?.generation === generation && JSON.stringify(rebuild) !== told) {
      told = JSON.stringify(rebuild);
      yield { kind: 'progress', processor, ...rebuild };
    }
    await wait(LOOK_EVERY_MS, undefined, { signal });
  }
  yield { kind: 'done', processor, generation, tookMs: clock() - startedMs };
}

/** Topics that it reads and does not write itself. */
function sourcesOf(pipeline: Pipeline, name: string): readonly string[] {
  for (const code of compiledOf(pipeline)) {
    if (!('stages' in code)) {
      if (code.name === name) return code.topics;
    } else if (code.topology.name === name) {
      return code.stages.filter(({ format }) => format !== 'internal').map(({ topic }) => topic);
    }
  }
  throw new MillraceError('usage', {
    expected: `a processor of pipeline ${pipeline.name}: ${pipeline.processors.map((each) => each.name).join(', ')}`,
    found: name,
  });
}

/** By `topic-partition`; others begin at the start. */
async function startOf(
  log: EventLog,
  topics: readonly string[],
  start: ReplayArguments['from'],
): Promise<Readonly<Record<string, number>>> {
  if (start === 'beginning') return {};
  const read = (await log.topics()).filter(({ name }) => topics.includes(name));
  const partitions = read.flatMap(partitionsOfTopic);
  const ids = partitions.map(idOf);
  if (start !== 'end' && 'offsets' in start) {
    const unknown = Object.keys(start.offsets).filter((id) => !ids.includes(id));
    if (unknown.length > 0)
      throw new MillraceError('usage', { expected: ids.join(', '), found: unknown.join(', ') });
  }
  if (start !== 'end' && 'offset' in start && partitions.length !== 1)
    throw new MillraceError('usage', {
      expected: `an offset for each partition: ${ids.map((id) => `${id}=OFFSET`).join(',')}`,
      found: String(start.offset),
    });
  const found: Record<string, number> = {};
  for (const partition of partitions) {
    const { start: first, end } = await log.offsets(partition);
    const asked = await offsetIn(log, partition, start, end);
    if (asked === undefined) continue;
    if (asked > end)
      throw new MillraceError('usage', {
        expected: `offsets of ${idOf(partition)} up to its end, ${end}`,
        found: String(asked),
      });
    found[idOf(partition)] = Math.max(first, asked);
  }
  return found;
}

async function offsetIn(
  log: EventLog,
  partition: TopicPartition,
  start: Exclude<ReplayArguments['from'], 'beginning'>,
  end: number,
): Promise<number | undefined> {
  if (start === 'end') return end;
  if ('timestampMs' in start) return log.offsetAt(partition, start.timestampMs);
  return 'offset' in start ? start.offset : start.offsets[idOf(partition)];
}

function idOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
