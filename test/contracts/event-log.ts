import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type { MillraceError } from '../../src/domain/errors.ts';
import {
  blocksOf,
  type Header,
  type LogRecord,
  type RecordBlock,
} from '../../src/domain/record-block.ts';
import type { Assignment, EventLog, TopicDeclaration } from '../../src/ports/event-log.ts';

/** One log, opened for one test and removed with it. */
export type OpenedLog = AsyncDisposable &
  Readonly<{
    log: EventLog;
    /** A second handle on the same log, as another thread or process has; closed by the test. */
    another?: () => Promise<EventLog>;
  }>;

/**
 * What every event log keeps. It assumes nothing that only one adapter has: offsets may have gaps,
 * and the log may hold topics of other tests.
 */
export function eventLogContract(name: string, open: () => Promise<OpenedLog>): void {
  const withLog = async (body: (log: EventLog, opened: OpenedLog) => Promise<void>) => {
    await using opened = await open();
    await body(opened.log, opened);
  };

  const withTwo = async (body: (log: EventLog, other: EventLog) => Promise<void>) => {
    await using opened = await open();
    if (opened.another === undefined) {
      await body(opened.log, opened.log);
    } else {
      await using other = await opened.another();
      await body(opened.log, other);
    }
  };

  describe(`${name} keeps the contract of an event log`, () => {
    test('gives back what was appended, in order, with its keys, values, headers and times', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['a', 'b'])]);
        await producer.append([
          ...blocksOf([
            { topic, partition: 0, record: { ...record('c'), key: null } },
            {
              topic,
              partition: 0,
              record: {
                ...record('d'),
                value: null,
                headers: [
                  ['h', 'ü'],
                  ['h', ''],
                ],
              },
            },
            { topic, partition: 0, record: { ...record(''), timestampMs: 1_234_567_890_123 } },
          ]),
        ]);
        const [a, b, c, d, e] = await take(log, topic, 5);
        assert.deepEqual([a, b, c, e].map(text), ['a', 'b', 'c', '']);
        assert.equal(Buffer.from(a?.key ?? []).toString(), 'key a');
        assert.equal(c?.key, null);
        assert.equal(d?.value, null);
        assert.deepEqual(d?.headers, [
          ['h', 'ü'],
          ['h', ''],
        ]);
        assert.deepEqual(a?.headers, []);
        assert.equal(e?.timestampMs, 1_234_567_890_123);
        assert.equal(e?.key?.length, 'key '.length);
      }));

    test('offsets grow, and reading can begin at each of them', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['a', 'b'])]);
        await producer.append([block(topic, ['c', 'd'])]);
        const all = await take(log, topic, 4);
        for (const [index, { offset }] of all.entries()) {
          const rest = await take(log, topic, 4 - index, offset);
          assert.deepEqual(rest.map(text), ['a', 'b', 'c', 'd'].slice(index));
          assert.deepEqual(
            rest.map((each) => each.offset),
            all.slice(index).map((each) => each.offset),
          );
        }
        const offsets = all.map(({ offset }) => offset);
        assert.deepEqual(
          offsets,
          [...new Set(offsets)].toSorted((x, y) => x - y),
        );
        const { start, end } = await log.offsets({ topic, partition: 0 });
        assert.ok(start <= (offsets[0] ?? -1) && end > (offsets[3] ?? Infinity));
      }));

    test('an append to several partitions is whole in each, and a missing topic stops all of it', () =>
      withLog(async (log) => {
        const one = await created(log, { partitions: 2 });
        const two = await created(log);
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(one, ['a'], 1), block(two, ['b'])], 'first');
        assert.deepEqual((await take(log, one, 1, 0, 1)).map(text), ['a']);
        assert.deepEqual((await take(log, two, 1)).map(text), ['b']);

        const before = await log.offsets({ topic: two, partition: 0 });
        const name = unique('p');
        const failing = await log.openProducer(name);
        await rejects(
          failing.append([block(two, ['c']), block(unique('none'), ['d'])], 'x'),
          'topic_missing',
        );
        await assert.rejects(failing.append([block(two, ['e'])], 'y'));
        assert.equal(await log.positionOf(name), undefined);
        const again = await log.openProducer(name);
        await again.append([block(two, ['f'])], 'z');
        assert.deepEqual((await take(log, two, 1, before.end)).map(text), ['f']);
      }));

    test('a producer finds the position that its name stored last', () =>
      withTwo(async (log, other) => {
        const topic = await created(log);
        const name = unique('p');
        const first = await log.openProducer(name);
        assert.equal(first.position, undefined);
        assert.equal(await log.positionOf(name), undefined);
        await first.append([block(topic, ['a'])], 'one');
        await first.append([block(topic, ['b'])]);
        assert.equal(first.position, 'one');
        await first.append([], 'two');
        assert.equal(first.position, 'two');
        assert.equal(await other.positionOf(name), 'two');
        await first.close();
        const second = await other.openProducer(name);
        assert.equal(second.position, 'two');
        assert.equal(await log.positionOf(unique('other')), undefined);
      }));

    test('opening a producer fences the one before', () =>
      withTwo(async (log, other) => {
        const topic = await created(log);
        const name = unique('p');
        const old = await log.openProducer(name);
        await old.append([block(topic, ['a'])], 'one');
        const heir = await other.openProducer(name);
        assert.equal(heir.position, 'one');
        await rejects(old.append([block(topic, ['lost'])], 'two'), 'producer_fenced');
        await assert.rejects(old.append([block(topic, ['lost'])], 'three'));
        await heir.append([block(topic, ['b'])], 'four');
        assert.deepEqual((await take(log, topic, 2)).map(text), ['a', 'b']);
        assert.equal(await log.positionOf(name), 'four');
      }));

    test('fencing leaves of overlapping appends a beginning, and the heir knows its end', () =>
      withTwo(async (log, other) => {
        const topic = await created(log);
        const name = unique('p');
        const old = await log.openProducer(name);
        const appends = Array.from({ length: 20 }, (_, n) =>
          old.append([block(topic, [`${n}`])], `${n}`),
        );
        const outcomes = Promise.allSettled(appends);
        const heir = await other.openProducer(name);
        const landed = heir.position === undefined ? 0 : Number(heir.position) + 1;
        await heir.append([block(topic, ['heir'])], 'heir');
        const states = (await outcomes).map(({ status }) => status === 'fulfilled');
        assert.deepEqual(
          states,
          states.map((_, n) => n < landed),
        );
        const values = (await take(log, topic, landed + 1)).map(text);
        assert.deepEqual(values, [...Array.from({ length: landed }, (_, n) => `${n}`), 'heir']);
      }));

    test('overlapping appends of one producer land in the order called', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        const wanted = Array.from({ length: 100 }, (_, n) => `${n}`);
        await Promise.all(wanted.map((value) => producer.append([block(topic, [value])], value)));
        assert.deepEqual((await take(log, topic, 100)).map(text), wanted);
        assert.equal(producer.position, '99');
      }));

    test('several producers append to one partition, each in its order', () =>
      withTwo(async (log, other) => {
        const topic = await created(log);
        const producers = [
          await log.openProducer(unique('p')),
          await other.openProducer(unique('p')),
        ];
        await Promise.all(
          producers.flatMap((producer, index) =>
            Array.from({ length: 30 }, (_, n) =>
              producer.append([block(topic, [`${index}:${n}`])]),
            ),
          ),
        );
        const values = (await take(log, topic, 60)).map(text);
        for (const index of [0, 1]) {
          assert.deepEqual(
            values.filter((value) => value?.startsWith(`${index}:`)),
            Array.from({ length: 30 }, (_, n) => `${index}:${n}`),
          );
        }
      }));

    test('a reader at the end waits, and is woken by an append', () =>
      withTwo(async (log, other) => {
        const topic = await created(log);
        const reading = take(other, topic, 3);
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['a'])]);
        await producer.append([block(topic, ['b', 'c'])]);
        assert.deepEqual((await reading).map(text), ['a', 'b', 'c']);
      }));

    test('reading ends without an error when aborted: before, while waiting, and between batches', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const from = { topic, partition: 0, offset: 0 };
        for await (const _ of log.read(from, AbortSignal.abort())) assert.fail('was aborted');

        const waiting = new AbortController();
        const pending = log.read(from, waiting.signal)[Symbol.asyncIterator]().next();
        waiting.abort();
        assert.equal((await pending).done, true);

        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['a'])]);
        await producer.append([block(topic, ['b'])]);
        const between = new AbortController();
        let batches = 0;
        for await (const _ of log.read(from, between.signal)) {
          batches += 1;
          between.abort();
        }
        assert.equal(batches, 1);
      }));

    test('a reader comes to the end that is told, whatever stands before it', () =>
      withLog(async (log) => {
        const topic = await created(log, { partitions: 2 });
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['a']), block(topic, ['elsewhere'], 1)], 'one');
        await producer.append([], 'two');
        await producer.append([block(topic, ['b'])]);
        const { start, end } = await log.offsets({ topic, partition: 0 });
        const from = { topic, partition: 0, offset: start };
        let reached = start;
        const seen: (string | undefined)[] = [];
        for await (const { records, next } of log.read(from, new AbortController().signal)) {
          seen.push(...records.map(text));
          reached = next;
          if (next >= end) break;
        }
        assert.equal(reached, end);
        assert.deepEqual(seen, ['a', 'b']);
      }));

    test('records stay as they were while the reader holds them', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['held'])]);
        const [held] = await take(log, topic, 1);
        for (let n = 0; n < 20; n += 1) await producer.append([block(topic, [`other ${n}`])]);
        await take(log, topic, 20);
        assert.equal(text(held), 'held');
      }));

    test('the bytes of a block may be reused once its append has settled', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        const reused = block(topic, ['kept']);
        await producer.append([reused]);
        reused.bytes.fill(0);
        assert.deepEqual((await take(log, topic, 1)).map(text), ['kept']);
      }));

    test('topics are created once, listed by name, and keep their partition count', () =>
      withTwo(async (log, other) => {
        const [a, b] = [unique('a'), unique('b')];
        await log.createTopics([
          { name: b, partitions: 3, cleanup: 'compact' },
          { name: a, partitions: 1, cleanup: 'delete' },
        ]);
        await other.createTopics([{ name: b, partitions: 3, cleanup: 'compact' }]);
        const listed = await other.topics();
        assert.deepEqual(
          listed.filter(({ name: each }) => each === a || each === b),
          [
            { name: a, partitions: 1, cleanup: 'delete' },
            { name: b, partitions: 3, cleanup: 'compact' },
          ],
        );
        const names = listed.map(({ name: each }) => each);
        assert.deepEqual(names, names.toSorted());

        const c = unique('c');
        const declarations: TopicDeclaration[] = [
          { name: c, partitions: 1, cleanup: 'delete' },
          { name: b, partitions: 2, cleanup: 'compact' },
        ];
        await rejects(other.createTopics(declarations), 'topic_partitions_changed');
      }));

    test('what names a missing topic or partition is refused', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const signal = new AbortController().signal;
        for (const missing of [
          { topic: unique('none'), partition: 0 },
          { topic, partition: 1 },
        ]) {
          await rejects(first(log.read({ ...missing, offset: 0 }, signal)), 'topic_missing');
          await rejects(log.offsets(missing), 'topic_missing');
          await rejects(log.offsetAt(missing, 0), 'topic_missing');
        }
        await rejects(first(log.join(unique('g'), [unique('none')], signal)), 'topic_missing');
      }));

    test('offsetAt finds the first record at or after a time, else the end', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        const { end: empty } = await log.offsets({ topic, partition: 0 });
        assert.equal(await log.offsetAt({ topic, partition: 0 }, 0), empty);
        await producer.append([timed(topic, [1000, 2000])]);
        await producer.append([timed(topic, [3000, 4000])]);
        const all = await take(log, topic, 4);
        const at = async (timestampMs: number) =>
          log.offsetAt({ topic, partition: 0 }, timestampMs);
        assert.equal(await at(0), all[0]?.offset);
        assert.equal(await at(1000), all[0]?.offset);
        assert.equal(await at(1001), all[1]?.offset);
        assert.equal(await at(2500), all[2]?.offset);
        assert.equal(await at(4000), all[3]?.offset);
        assert.equal(await at(4001), (await log.offsets({ topic, partition: 0 })).end);
      }));

    test('reading beyond the end is refused, reading at the end waits', () =>
      withLog(async (log) => {
        const topic = await created(log);
        const producer = await log.openProducer(unique('p'));
        await producer.append([block(topic, ['a'])]);
        const { end } = await log.offsets({ topic, partition: 0 });
        const beyond = { topic, partition: 0, offset: end + 1 };
        await rejects(first(log.read(beyond, new AbortController().signal)), 'offset_out_of_range');
        const reading = take(log, topic, 1, end);
        await producer.append([block(topic, ['b'])]);
        assert.deepEqual((await reading).map(text), ['b']);
      }));

    test('members of a group share the partitions, and take over from one that leaves', () =>
      withLog(async (log) => {
        const topic = await created(log, { partitions: 3 });
        const group = unique('g');
        const [one, two] = [member(log, group, topic), member(log, group, topic)];
        await settled(one, two);
        assert.deepEqual(held(one, two), [0, 1, 2]);
        assert.ok(one.latest?.length && two.latest?.length, 'each has a share');
        two.leave();
        await until(one, () => one.latest?.length === 3);
        assert.deepEqual(held(one), [0, 1, 2]);
        await two.ended;
        one.leave();
        await one.ended;

        const later = member(log, group, topic);
        await until(later, () => later.latest?.length === 3);
        later.leave();
        await later.ended;
      }));
  });
}

type Member = {
  latest: Assignment | undefined;
  leave: () => void;
  ended: Promise<void>;
  /** Resolves at the next assignment. */
  changed: PromiseWithResolvers<void>;
};

function member(log: EventLog, group: string, topic: string): Member {
  const leaving = new AbortController();
  const self: Member = {
    latest: undefined,
    leave: () => leaving.abort(),
    ended: Promise.resolve(),
    changed: Promise.withResolvers(),
  };
  self.ended = (async () => {
    for await (const assignment of log.join(group, [topic], leaving.signal)) {
      self.latest = assignment;
      self.changed.resolve();
      self.changed = Promise.withResolvers();
    }
  })();
  return self;
}

async function until(who: Member, condition: () => boolean): Promise<void> {
  while (!condition()) await who.changed.promise;
}

/** Waits until two members have a share each, and hold all of three partitions between them, none twice. */
async function settled(one: Member, two: Member): Promise<void> {
  const done = () => {
    const both = held(one, two);
    const isShared = [one, two].every(({ latest }) => latest !== undefined && latest.length > 0);
    return both.length === 3 && new Set(both).size === 3 && isShared;
  };
  while (!done()) await Promise.race([one.changed.promise, two.changed.promise]);
}

function held(...members: readonly Member[]): number[] {
  return members
    .flatMap(({ latest }) => (latest ?? []).map(({ partition }) => partition))
    .toSorted((a, b) => a - b);
}

function unique(name: string): string {
  return `${name}-${randomUUID().slice(0, 8)}`;
}

async function created(log: EventLog, options: Partial<TopicDeclaration> = {}): Promise<string> {
  const name = unique('topic');
  await log.createTopics([{ name, partitions: 1, cleanup: 'delete', ...options }]);
  return name;
}

function record(value: string, timestampMs = 1000, headers: readonly Header[] = []) {
  return { key: Buffer.from(`key ${value}`), value: Buffer.from(value), timestampMs, headers };
}

function block(topic: string, values: readonly string[], partition = 0): RecordBlock {
  return only(blocksOf(values.map((value) => ({ topic, partition, record: record(value) }))));
}

function timed(topic: string, times: readonly number[]): RecordBlock {
  return only(
    blocksOf(times.map((at) => ({ topic, partition: 0, record: record(`at ${at}`, at) }))),
  );
}

function only(blocks: readonly RecordBlock[]): RecordBlock {
  const [block_] = blocks;
  assert.ok(block_);
  return block_;
}

/** The next `count` records, waiting for them. */
async function take(
  log: EventLog,
  topic: string,
  count: number,
  offset = 0,
  partition = 0,
): Promise<LogRecord[]> {
  const { signal } = new AbortController();
  const records: LogRecord[] = [];
  let before = offset;
  for await (const batch of log.read({ topic, partition, offset }, signal)) {
    assert.ok(batch.next > before, 'the position moves on');
    for (const each of batch.records) assert.ok(each.offset >= before && each.offset < batch.next);
    before = batch.next;
    records.push(...batch.records);
    if (records.length >= count) break;
  }
  assert.ok(records.length >= count, 'reading ended early');
  return records.slice(0, count);
}

async function first<T>(iterable: AsyncIterable<T>): Promise<T | undefined> {
  for await (const each of iterable) return each;
  return undefined;
}

function text(each: LogRecord | undefined): string | undefined {
  return each?.value ? Buffer.from(each.value).toString() : undefined;
}

async function rejects(promise: Promise<unknown>, code: MillraceError['code']): Promise<void> {
  await assert.rejects(promise, (error: MillraceError) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}
