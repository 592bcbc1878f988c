import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { KafkaEventLog } from '../../src/adapters/kafka/event-log.ts';
import { type ErrorCode, MillraceError } from '../../src/domain/errors.ts';
import { blocksOf, type RecordBlock } from '../../src/domain/record-block.ts';
import type { EventLog, Producer } from '../../src/ports/event-log.ts';
import { readTo } from '../../src/ports/read-to.ts';
import { temporaryKafka } from './servers/kafka.ts';

/** The records of these tests are of 1970. */
const RETENTION = { ms: Number.MAX_SAFE_INTEGER, bytes: 1 << 30 };
const PROGRAM = fileURLToPath(new URL('../programs/append-to-kafka.ts', import.meta.url));

describe('KafkaEventLog, when things break,', async () => {
  const kafka = await temporaryKafka();
  after(() => kafka[Symbol.asyncDispose]());
  const open = () => KafkaEventLog.open({ brokers: kafka.brokers }, { retention: RETENTION });

  test('keeps each append whole or not at all while the broker is killed or restarted, and all that resolved', async () => {
    await using log = await open();
    const topic = await created(log);
    const reading = new AbortController();
    const read = collect(log, topic, 0, reading.signal);
    const writer = new Writer(log, topic);
    const stopped = new AbortController();
    const writing = writer.run(stopped.signal);
    for (const end of [kafka.kill, kafka.stop]) {
      await writer.reaches(writer.resolved + 40);
      await end();
      await kafka.restart();
    }
    await writer.reaches(writer.resolved + 40);
    stopped.abort();
    await writing;

    const all = await values(log, topic, 0);
    assert.deepEqual(all, numbers(all.length), 'each once, in order');
    assert.deepEqual(await values(log, topic, 1), all, 'whole in both partitions');
    assert.ok(all.length > writer.resolved, 'what resolved is there');
    assert.equal(await log.positionOf(writer.name), all.at(-1));
    // One that read all along has seen the same.
    await read.reaches(all.length);
    reading.abort();
    assert.deepEqual(await read.ended, all);
  });

  test('notices a broker that answers nothing, and goes on once it does again', async () => {
    await using log = await open();
    const topic = await created(log);
    const producer = await log.openProducer('paused');
    await producer.append(both(topic, '0'), '0');
    const { end } = await log.offsets({ topic, partition: 0 });
    const reading = log.read({ topic, partition: 0, offset: end }, new AbortController().signal);
    const next = reading[Symbol.asyncIterator]().next();
    const impatient = await open();
    const hurried = await impatient.openProducer('hurried');
    kafka.pause();
    try {
      await Promise.all([
        rejects(next, 'log_unreachable'),
        rejects(producer.append(both(topic, '1'), '1'), 'log_unreachable'),
        rejects(log.offsets({ topic, partition: 0 }), 'log_unreachable'),
        rejects(log.topics(), 'log_unreachable'),
        rejects(open(), 'log_unreachable'),
      ]);
      const rejected = rejects(hurried.append(both(topic, '1')), 'log_unreachable');
      // Nor does anyone wait for it who wants to end.
      const leaving = new AbortController();
      const joining = log.join('paused', [topic], leaving.signal)[Symbol.asyncIterator]().next();
      const ended = performance.now();
      leaving.abort();
      await joining;
      await impatient[Symbol.asyncDispose]();
      await rejected;
      assert.ok(performance.now() - ended < 6000, 'ends soon');
    } finally {
      kafka.resume();
    }
    const again = await log.openProducer('paused');
    const following = Number(again.position) + 1;
    await again.append(both(topic, `${following}`), `${following}`);
    const all = await values(log, topic, 0);
    assert.deepEqual(all, numbers(following + 1));
    assert.deepEqual(await values(log, topic, 1), all);
  });

  test('fences a process that was asleep when another took over', async () => {
    await using log = await open();
    const topic = await created(log);
    const zombie = appending(topic);
    await zombie.reaches(20);
    zombie.child.kill('SIGSTOP');
    const heir = await log.openProducer(zombie.name);
    const position = Number(heir.position);
    assert.ok(position >= zombie.printed.length - 1);
    await heir.append(both(topic, 'heir'), 'heir');
    zombie.child.kill('SIGCONT');
    assert.equal(await zombie.ended, 'producer_fenced');
    const expected = [...numbers(position + 1), 'heir'];
    assert.deepEqual(await values(log, topic, 0), expected);
    assert.deepEqual(await values(log, topic, 1), expected);
    assert.equal(await log.positionOf(zombie.name), 'heir');
  });

  test('goes on at once where a process was killed amid its appends', async () => {
    await using log = await open();
    const topic = await created(log);
    const killed = appending(topic);
    await killed.reaches(20);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const beganAt = performance.now();
    const heir = await log.openProducer(killed.name);
    await heir.append(both(topic, 'heir'), 'heir');
    const all = await values(log, topic, 0);
    assert.ok(performance.now() - beganAt < 5000, 'without waiting for a timeout');
    assert.deepEqual(all, [...numbers(all.length - 1), 'heir']);
    assert.deepEqual(await values(log, topic, 1), all);
    assert.ok(all.length > killed.printed.length);
  });

  /** Another process that appends to the topic. */
  function appending(topic: string) {
    const name = `process-${randomUUID()}`;
    const child = spawn(process.execPath, [PROGRAM, kafka.brokers.join(), name, topic], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const printed: string[] = [];
    const progress = new Progress();
    createInterface(child.stdout).on('line', (line) => {
      printed.push(line);
      progress.to(printed.length);
    });
    const ended = once(child, 'exit').then(() => printed.at(-1));
    after(() => child.kill('SIGKILL'));
    return {
      name,
      child,
      printed,
      ended,
      reaches: (count: number) => Promise.race([progress.reaches(count), ended]),
    };
  }
});

/** Appends numbers, some at a time; opens the producer again, from its position, after a failure that may pass. */
class Writer {
  readonly name = `writer-${randomUUID()}`;
  readonly #log: EventLog;
  readonly #topic: string;
  readonly #progress = new Progress();
  /** The last number whose append resolved. */
  resolved = -1;

  constructor(log: EventLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
  }

  reaches(number: number): Promise<void> {
    return this.#progress.reaches(number);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const producer = await this.#log.openProducer(this.name);
        const position = producer.position === undefined ? -1 : Number(producer.position);
        assert.ok(position >= this.resolved, 'the position is not behind what resolved');
        await this.#append(producer, position + 1, signal);
      } catch (error) {
        assert.equal(error instanceof MillraceError && error.code, 'log_unreachable');
        await sleep(100);
      }
    }
  }

  async #append(producer: Producer, from: number, signal: AbortSignal): Promise<void> {
    for (let next = from; !signal.aborted; next += 5) {
      await Promise.all(
        [0, 1, 2, 3, 4].map(async (more) => {
          const n = next + more;
          await producer.append(both(this.#topic, `${n}`), `${n}`);
          this.resolved = Math.max(this.resolved, n);
          this.#progress.to(this.resolved);
        }),
      );
    }
  }
}

class Progress {
  #at = -1;
  readonly #waiting = new Set<{ number: number; reached: () => void }>();

  to(number: number): void {
    this.#at = number;
    for (const each of this.#waiting) {
      if (each.number > number) continue;
      this.#waiting.delete(each);
      each.reached();
    }
  }

  reaches(number: number): Promise<void> {
    if (this.#at >= number) return Promise.resolve();
    return new Promise((reached) => this.#waiting.add({ number, reached }));
  }
}

/** Reads on from where it was after a failure that may pass. */
function collect(log: EventLog, topic: string, partition: number, signal: AbortSignal) {
  const progress = new Progress();
  const seen: string[] = [];
  let offset = 0;
  const read = async (): Promise<void> => {
    for await (const { records, next } of log.read({ topic, partition, offset }, signal)) {
      for (const { value } of records) seen.push(Buffer.from(value ?? []).toString());
      offset = next;
      progress.to(seen.length);
    }
  };
  const ended = (async () => {
    while (!signal.aborted) {
      await read().catch((error: unknown) => {
        assert.equal(error instanceof MillraceError && error.code, 'log_unreachable');
      });
    }
    return seen;
  })();
  return { ended, reaches: (count: number) => Promise.race([progress.reaches(count), ended]) };
}

async function created(log: EventLog): Promise<string> {
  const name = `topic-${randomUUID().slice(0, 8)}`;
  await log.createTopics([{ name, partitions: 2, cleanup: 'delete' }]);
  return name;
}

/** The same value in both partitions. */
function both(topic: string, value: string): RecordBlock[] {
  const record = { key: null, value: Buffer.from(value), timestampMs: 1000, headers: [] };
  return blocksOf([0, 1].map((partition) => ({ topic, partition, record })));
}

async function values(log: EventLog, topic: string, partition: number): Promise<string[]> {
  const { start, end } = await log.offsets({ topic, partition });
  const found: string[] = [];
  const { signal } = new AbortController();
  for await (const records of readTo(log, { topic, partition, offset: start }, end, signal)) {
    for (const { value } of records) found.push(Buffer.from(value ?? []).toString());
  }
  return found;
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${n}`);
}

async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, (error: MillraceError) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}
