import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { open as openLmdb } from 'lmdb';
import { eventLogContract } from '../../../test/contracts/event-log.ts';
import { MillraceError } from '../../domain/errors.ts';
import { blocksOf, type LogRecord, type RecordBlock } from '../../domain/record-block.ts';
import { Bell } from '../../lib/bell.ts';
import { readTo } from '../../ports/read-to.ts';
import type { Assignment, EventLog, TopicDeclaration } from '../../ports/event-log.ts';
import { LmdbEventLog, type LmdbEventLogOptions } from './event-log.ts';

const HOUR_MS = 3_600_000;
const RETENTION = { ms: HOUR_MS, bytes: 1 << 30 };
const SMALL = { segmentBytes: 128 * 1024, retention: RETENTION };

for (const [name, more] of Object.entries({
  LmdbEventLog: {},
  // Through rolls: a segment is full after nearly every append.
  'LmdbEventLog with tiny segments': { segmentBytes: 1 },
  'LmdbEventLog whose appends linger': { lingerMs: 2, segmentBytes: 64 * 1024 },
}))
  eventLogContract(name, async () => {
    const folder = await temporaryFolder();
    const options = { dir: folder.dir, wake: Bell.memory(), retention: RETENTION, ...more };
    const log = await LmdbEventLog.open(options);
    return {
      log,
      another: () => LmdbEventLog.open(options),
      [Symbol.asyncDispose]: async () => {
        await log[Symbol.asyncDispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  });

describe('LmdbEventLog', () => {
  test('gives back everything after it was closed and opened again', async () => {
    await using folder = await temporaryFolder();
    {
      await using log = await opened(folder.dir);
      const producer = await log.openProducer('p');
      await producer.append([block(['a', 'b'])], 'one');
    }
    await using log = await LmdbEventLog.open({ dir: folder.dir, retention: RETENTION });
    assert.deepEqual(await values(log), ['a', 'b']);
    const producer = await log.openProducer('p');
    assert.equal(producer.position, 'one');
    await producer.append([block(['c'])]);
    assert.deepEqual(await values(log), ['a', 'b', 'c']);
  });

  test('gives each partition of a group to one of the threads that share it', async () => {
    await using folder = await temporaryFolder();
    const wake = Bell.memory();
    await using stack = new AsyncDisposableStack();
    const counts = { orders: 4, items: 3, users: 1, visits: 1 };
    const declared = Object.entries(counts).map(
      ([name, partitions]) => ({ name, partitions, cleanup: 'delete' }) as const,
    );
    const logs: LmdbEventLog[] = [];
    for (const index of [0, 1, 2])
      logs.push(stack.use(await opened(folder.dir, { wake, share: { index, of: 3 } })));
    await logs[0]?.createTopics(declared);
    const { signal } = new AbortController();
    const first = new Set<number>();
    for (const group of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const shares: string[][] = [];
      for (const [index, log] of logs.entries()) {
        // The order in which a member names its topics means nothing.
        const topics = index === 1 ? Object.keys(counts).toReversed() : Object.keys(counts);
        const joined = log.join(group, topics, signal);
        const { value } = await joined[Symbol.asyncIterator]().next();
        shares.push((value as Assignment).map(({ topic, partition }) => `${topic}-${partition}`));
      }
      const all = declared.flatMap(({ name, partitions }) =>
        Array.from({ length: partitions }, (_, partition) => `${name}-${partition}`),
      );
      assert.equal(shares.flat().length, all.length);
      assert.deepEqual(new Set(shares.flat()), new Set(all));
      assert.deepEqual(new Set(shares.map(({ length }) => length)), new Set([3]));
      first.add(shares.findIndex((share) => share.includes('items-0')));
    }
    assert.ok(first.size > 1, 'groups begin at different threads');
  });

  test('reads on through rolls, also in an object that had the older segments open', async () => {
    await using folder = await temporaryFolder();
    const wake = Bell.memory();
    await using log = await opened(folder.dir, { ...SMALL, wake });
    await using other = await LmdbEventLog.open({ dir: folder.dir, wake, ...SMALL });
    const wanted = await appendUntil(log, async () => (await segmentsIn(folder.dir)) >= 4);
    assert.deepEqual(await values(other), wanted);
    assert.deepEqual(await other.offsets(AT), { start: 0, end: wanted.length });
    for (const n of [0, 1, wanted.length >> 1, wanted.length - 1]) {
      assert.equal(await other.offsetAt(AT, n), n);
    }
  });

  test('keeps of a compacted topic the newest record of each key, at its offset', async () => {
    await using folder = await temporaryFolder();
    const clock = { now: HOUR_MS };
    const options = { ...SMALL, now: () => clock.now };
    const compacted: TopicDeclaration = { name: 'compacted', partitions: 1, cleanup: 'compact' };
    await using log = await opened(folder.dir, options);
    await log.createTopics([compacted]);
    const producer = await log.openProducer('p');
    const put = (key: string, value: string | null, timestampMs = clock.now) =>
      producer.append(
        blocksOf([
          {
            topic: 'compacted',
            partition: 0,
            record: {
              key: Buffer.from(key),
              value: value === null ? null : Buffer.from(value),
              timestampMs,
              headers: [['key', key]],
            },
          },
        ]),
        'position',
      );
    await put('a', 'old');
    await put('b', 'b');
    await put('a', 'new');
    await put('gone', 'x');
    await put('gone', null, -1);
    await put('fresh tombstone', null);
    await appendUntil(log, async () => (await segmentsIn(folder.dir)) >= 3);
    await put('b', 'newest');

    // The roll that retention does first seals the current segment, which then has to age itself.
    for (const atLeast of [2, 1]) {
      clock.now += 2 * HOUR_MS;
      assert.ok((await log.applyRetention()) >= atLeast);
    }
    const records = await all(log, 'compacted');
    assert.deepEqual(
      records.map(({ offset, key, value, headers }) => [offset, text(key), text(value), headers]),
      [
        [2, 'a', 'new', [['key', 'a']]],
        [6, 'b', 'newest', [['key', 'b']]],
      ],
    );
    assert.deepEqual(await log.offsets({ topic: 'compacted', partition: 0 }), { start: 0, end: 7 });
    assert.equal(await log.positionOf('p'), 'position');
    assert.deepEqual(
      (await log.topics()).map(({ name }) => name),
      ['compacted', 'topic'],
    );
  });

  test('retention by age removes what is too old, also at a low rate, and nothing else', async () => {
    await using folder = await temporaryFolder();
    const clock = { now: 0 };
    await using log = await opened(folder.dir, { now: () => clock.now });
    const producer = await log.openProducer('p');
    await producer.append([block(['old'])], 'one');
    assert.equal(await log.applyRetention(), 0);
    clock.now += HOUR_MS / 2;
    assert.equal(await log.applyRetention(), 0);
    await producer.append([block(['young'])], 'two');
    clock.now += HOUR_MS / 2 + 1;
    await log.applyRetention();
    assert.deepEqual(await log.offsets(AT), { start: 0, end: 2 });
    clock.now += HOUR_MS / 2;
    assert.equal(await log.applyRetention(), 1);
    assert.deepEqual(await log.offsets(AT), { start: 1, end: 2 });
    assert.deepEqual(await values(log, 1), ['young']);
    await assert.rejects(values(log, 0), { code: 'offset_out_of_range' });
    assert.equal(await log.positionOf('p'), 'two');
    await producer.append([block(['new'])]);
    assert.deepEqual(await values(log, 1), ['young', 'new']);
  });

  test('retention by size gives space back, in every object that has the files open', async () => {
    await using folder = await temporaryFolder();
    const options = { segmentBytes: 128 * 1024, retention: { ms: HOUR_MS, bytes: 512 * 1024 } };
    const wake = Bell.memory();
    await using log = await opened(folder.dir, { ...options, wake });
    await using other = await LmdbEventLog.open({ dir: folder.dir, wake, ...options });
    const first = join(folder.dir, '0000000001.mdb');
    await appendUntil(log, async () => !existsSync(first));
    assert.ok(((await log.sizeBytes()) ?? Infinity) <= 512 * 1024 + 256 * 1024);
    await until(async () => (await other.offsets(AT)).start > 0);
    await until(async () => !(await readFile('/proc/self/maps', 'utf8')).includes(first));
  });

  test('a reader in another thread is woken, and reads through rolls', async () => {
    await using folder = await temporaryFolder();
    const wake = Bell.memory();
    await using log = await opened(folder.dir, { ...SMALL, wake });
    const worker = new Worker(
      new URL('../../../test/programs/read-in-thread.ts', import.meta.url),
      {
        workerData: { dir: folder.dir, wake },
      },
    );
    const messages: string[] = [];
    let heard = Promise.withResolvers<void>();
    worker.on('message', (message: string) => {
      messages.push(message);
      heard.resolve();
      heard = Promise.withResolvers();
    });
    // It may come in the same turn as the last message.
    const exited = once(worker, 'exit');
    const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
    const reach = async (count: number) => {
      while (messages.length < count) await Promise.race([heard.promise, failed]);
    };
    await reach(1);
    const producer = await log.openProducer('p');
    const wanted = Array.from({ length: 400 }, (_, n) => `${n} ${'x'.repeat(1000)}`);
    for (const [index, value] of wanted.entries()) {
      await producer.append([block([value])]);
      if (index < 20) await reach(index + 2);
    }
    await reach(wanted.length + 1);
    assert.deepEqual(messages, ['reading', ...wanted]);
    worker.postMessage('stop');
    await reach(wanted.length + 2);
    await exited;
  });

  test('a process killed at any moment leaves all that was resolved, in order', async () => {
    await using folder = await temporaryFolder();
    const program = new URL('../../../test/programs/append-for-ever.ts', import.meta.url);
    for (const linesBeforeKill of [1, 700, 333]) {
      const child = spawn(process.execPath, [program.pathname, folder.dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let resolved = -1;
      let left = linesBeforeKill;
      for await (const line of createInterface(child.stdout)) {
        resolved = Number(line);
        left -= 1;
        if (left === 0) child.kill('SIGKILL');
      }
      await using log = await LmdbEventLog.open({ dir: folder.dir, ...SMALL });
      const numbers = (await values(log)).map((value) => parseInt(value, 10));
      assert.deepEqual(numbers, [...numbers.keys()]);
      assert.ok(numbers.length > resolved, `${numbers.length} records, ${resolved} was resolved`);
      assert.equal(await log.positionOf('numbers'), String(numbers.length - 1));
    }
  });

  test('what a crash left of an unfinished roll is ignored, and overwritten by the next', async () => {
    await using folder = await temporaryFolder();
    {
      await using log = await opened(folder.dir, SMALL);
      await (await log.openProducer('p')).append([block(['a'])]);
    }
    await writeFile(join(folder.dir, '0000000002.mdb'), 'half a segment');
    await using log = await LmdbEventLog.open({ dir: folder.dir, ...SMALL });
    const wanted = await appendUntil(log, async () => (await segmentsIn(folder.dir)) >= 3);
    assert.deepEqual(await values(log), ['a', ...wanted]);
  });

  test('a full disk refuses the append whole, and with space a producer opened anew goes on', async () => {
    await using folder = await temporaryFolder();
    // A limit on the size of files stands for the full disk: the write fails in the same place.
    const program = new URL('../../../test/programs/append-until-full.ts', import.meta.url);
    const limited = spawn(
      '/bin/sh',
      ['-c', 'ulimit -f 4096 && exec "$@"', 'sh', process.execPath, program.pathname, folder.dir],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const lines: string[] = [];
    for await (const line of createInterface(limited.stdout)) lines.push(line);
    const appended = Number(lines.shift());
    assert.ok(appended > 0);
    assert.deepEqual(lines, ['disk_full', 'disk_full', `${appended * 2} records`, 'goes on']);

    await using log = await LmdbEventLog.open({ dir: folder.dir, ...SMALL });
    assert.equal((await values(log)).length, appended * 2 + 1);
    const producer = await log.openProducer('p');
    assert.equal(producer.position, 'after');
    await producer.append([block(['x'.repeat(300_000)])]);
    assert.equal((await values(log)).length, appended * 2 + 2);
  });

  test('a file that is damaged, foreign or missing is named', async () => {
    const damages: Record<string, (file: string) => Promise<void>> = {
      foreign: (file) => writeFile(file, 'not a database at all'.repeat(1000)),
      truncated: (file) => truncate(file, 16_384),
      empty: (file) => truncate(file, 0),
      missing: (file) => rm(file),
    };
    for (const [name, damage] of Object.entries(damages)) {
      await using folder = await temporaryFolder();
      {
        await using log = await opened(folder.dir, { segmentBytes: 512 * 1024 });
        await appendUntil(log, async () => (await segmentsIn(folder.dir)) >= 3);
      }
      const file = join(folder.dir, '0000000002.mdb');
      await damage(file);
      await assert.rejects(
        LmdbEventLog.open({ dir: folder.dir, ...SMALL }),
        (error: unknown) =>
          error instanceof MillraceError &&
          error.code === 'log_corrupt' &&
          error.facts['file'] === file,
        name,
      );
    }
  });

  test('threads that open a new log at once share one', async () => {
    await using folder = await temporaryFolder();
    const options = { dir: join(folder.dir, 'new'), retention: RETENTION, wake: Bell.memory() };
    const [one, two] = await Promise.all([LmdbEventLog.open(options), LmdbEventLog.open(options)]);
    await one.createTopics([{ name: 'topic', partitions: 1, cleanup: 'delete' }]);
    assert.deepEqual(await two.topics(), await one.topics());
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
    assert.equal(await segmentsIn(options.dir), 1);
  });

  test('a log of another version is refused', async () => {
    await using folder = await temporaryFolder();
    await (await opened(folder.dir))[Symbol.asyncDispose]();
    const file = join(folder.dir, '0000000001.mdb');
    const db = openLmdb<Buffer, string[]>(file, { encoding: 'binary' });
    await db.put(['format'], Buffer.from('{"version":99}'));
    await db.close();
    await assert.rejects(LmdbEventLog.open({ dir: folder.dir, retention: RETENTION }), {
      code: 'data_dir_version',
      facts: { file, expected: 1, found: 99 },
    });
  });
});

const AT = { topic: 'topic', partition: 0 };

async function temporaryFolder(): Promise<AsyncDisposable & { dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-log-'));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}

async function opened(dir: string, options: Partial<LmdbEventLogOptions> = {}) {
  const log = await LmdbEventLog.open({ dir, retention: RETENTION, ...options });
  await log.createTopics([{ name: 'topic', partitions: 1, cleanup: 'delete' }]);
  return log;
}

function block(contents: readonly string[], timestampMs = 0): RecordBlock {
  const [made] = blocksOf(
    contents.map((content) => ({
      ...AT,
      record: { key: null, value: Buffer.from(content), timestampMs, headers: [] },
    })),
  );
  assert.ok(made);
  return made;
}

/** Appends a record of 4 KB at a time, its number as its time, until it is enough. */
async function appendUntil(log: EventLog, isEnough: () => Promise<boolean>): Promise<string[]> {
  const producer = await log.openProducer('filler');
  const contents: string[] = [];
  while (!(await isEnough())) {
    const content = `${contents.length} ${'x'.repeat(4000)}`;
    await producer.append([block([content], contents.length)]);
    contents.push(content);
  }
  return contents;
}

async function segmentsIn(dir: string): Promise<number> {
  return (await readdir(dir)).filter((name) => name.endsWith('.mdb')).length;
}

/** All records from `offset` to the end. */
async function all(log: EventLog, topic = 'topic', offset = 0): Promise<LogRecord[]> {
  const { end } = await log.offsets({ topic, partition: 0 });
  const { signal } = new AbortController();
  const from = { topic, partition: 0, offset };
  return (await Array.fromAsync(readTo(log, from, end, signal))).flat();
}

async function values(log: EventLog, offset = 0): Promise<string[]> {
  return (await all(log, 'topic', offset)).map(({ value }) => text(value) ?? 'tombstone');
}

function text(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : Buffer.from(bytes).toString();
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(setImmediate);
}
