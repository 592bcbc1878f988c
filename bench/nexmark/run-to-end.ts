import { setTimeout as sleep } from 'node:timers/promises';
import { deadLetterTopic, COMMANDS } from '../../src/app/topics.ts';
import type { Topology } from '../../src/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { EventLog, TopicDeclaration } from '../../src/ports/event-log.ts';
import type { Store } from '../../src/ports/store.ts';
import { tickTopic } from '../../src/stream/stage/topology-subject.ts';
import { TaskRunner, type TaskRunnerOptions } from '../../src/stream/tasks/task-runner.ts';
import { compile } from '../../src/stream/topology/compile.ts';

const LOOK_EVERY_MS = 2;

/**
 * Runs a topology over all that is in its topics now, which have one partition each, until what it
 * makes of them is in the log. Fails if a record does.
 */
export async function runToEnd(
  topology: Topology,
  {
    log,
    store,
    limits,
  }: Readonly<{ log: EventLog; store: Store }> & Pick<TaskRunnerOptions, 'limits'>,
): Promise<void> {
  const processor = compile(topology, () => 1);
  const dead = deadLetterTopic(topology.name);
  const others = [COMMANDS, dead, tickTopic(topology.name)];
  await log.createTopics([
    ...processor.declares,
    ...others.map((name): TopicDeclaration => ({ name, partitions: 1, cleanup: 'delete' })),
  ]);
  const options = { processor, log, store, clock: systemClock, ...(limits && { limits }) };
  const runner = new TaskRunner({ ...options, commandTopic: COMMANDS, deadLetterTopic: dead });
  const stop = new AbortController();
  const running = runner.run(stop.signal);
  running.catch(() => stop.abort());
  while (!stop.signal.aborted && !(await isDone(runner, store))) await sleep(LOOK_EVERY_MS);
  stop.abort();
  await running;
  const { parked } = await runner.status();
  if (parked > 0) throw new Error(`${topology.name}: ${parked} records failed`);
}

async function isDone(runner: TaskRunner, store: Store): Promise<boolean> {
  const { tasks } = await runner.status();
  const isRead = ({ partitions }: (typeof tasks)[number]) =>
    partitions.every(({ offset, end }) => offset === end);
  if (tasks.length === 0 || !tasks.every(isRead)) return false;
  for (const { task } of tasks) if ((await store.outgoing(task, 1)).length > 0) return false;
  return true;
}
