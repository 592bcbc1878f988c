import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MillraceError } from '../../src/domain/errors.ts';
import type { Sink, SinkBatch, SinkRecord, SinkRefusal } from '../../src/ports/sink.ts';

/** A sink with what it writes to. It takes `{ id, amount }` by id, and refuses amounts below 0. */
export type SinkUnderTest = AsyncDisposable &
  Readonly<{
    sink: Sink;
    /** Amount by id, as what the sink took comes to. */
    rows(): Promise<Readonly<Record<string, number>>>;
    /** Has what it writes to die; its address stays. */
    kill(): Promise<void>;
    /** Must be in no error. */
    secret: string;
  }>;

const TASK = 'orders.warehouse/orders.warehouse-0';
const { signal } = new AbortController();

export function put(offset: number, id: number, amount: number): SinkRecord {
  return { ...remove(offset, id), value: { id, amount } };
}

export function remove(offset: number, id: number): SinkRecord {
  return {
    id: `orders/shop.orders-0:${offset}:0`,
    offset,
    key: { id },
    keyText: JSON.stringify({ id }),
    value: null,
    timestampMs: 1_700_000_000_000 + offset,
  };
}

export function batch(...records: SinkRecord[]): SinkBatch {
  const next = Math.max(...records.map(({ offset }) => offset)) + 1;
  return { records, leftOut: [], next, mark: `mark ${next}` };
}

const offsetsOf = (refusals: readonly SinkRefusal[]) => refusals.map(({ offset }) => offset);

const isCoded = (code: string) => (error: unknown) =>
  error instanceof MillraceError && error.code === code;

/** What every `Sink` must do. `open` gives one that has taken nothing; a test disposes of it. */
export function sinkContract(
  name: string,
  { keepsAccount }: Readonly<{ keepsAccount: boolean }>,
  open: () => Promise<SinkUnderTest>,
): void {
  describe(`${name} keeps the contract of Sink`, () => {
    test('says whether it keeps accounts', async () => {
      await using made = await open();
      assert.equal(made.sink.keepsAccount, keepsAccount);
    });

    test('takes records in their order, so that the last of a key stands', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      assert.deepEqual(await writer.write(batch(put(0, 1, 10), put(1, 2, 20)), signal), []);
      await writer.write(batch(put(2, 1, 11), put(3, 1, 12), put(4, 3, 30)), signal);
      assert.deepEqual(await made.rows(), { 1: 12, 2: 20, 3: 30 });
    });

    test('takes a removal in its order', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      await writer.write(batch(put(0, 1, 10), put(1, 2, 20), put(2, 3, 30), remove(3, 4)), signal);
      await writer.write(batch(remove(4, 1), remove(5, 2), put(6, 2, 21)), signal);
      assert.deepEqual(await made.rows(), { 2: 21, 3: 30 });
    });

    test('refuses a bad record with the reason, takes the rest, and keeps those behind it waiting', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      const given = [put(0, 1, 10), put(1, 2, -1), put(2, 3, 30), put(3, 2, -2), put(4, 1, 11)];
      const refusals = await writer.write(batch(...given), signal);
      assert.deepEqual(offsetsOf(refusals), [1]);
      assert.notEqual(refusals[0]?.message, '');
      assert.deepEqual(await made.rows(), { 1: 11, 3: 30 });
    });

    test('refuses each of several bad records', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      const given = Array.from({ length: 20 }, (_, at) => put(at, at, at % 3 === 0 ? -1 : at));
      const refused = given.map(({ offset }) => offset).filter((offset) => offset % 3 === 0);
      assert.deepEqual(offsetsOf(await writer.write(batch(...given), signal)), refused);
      assert.deepEqual(Object.keys(await made.rows()).length, 20 - refused.length);
    });

    test('comes to the same when a batch is written again', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      const again = batch(put(0, 1, 10), remove(1, 1), put(2, 2, 20));
      await writer.write(again, signal);
      await writer.write(again, signal);
      assert.deepEqual(await made.rows(), { 2: 20 });
    });

    test('tells by name that what it writes to is gone, and no secret with it', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      await writer.write(batch(put(0, 1, 10)), signal);
      await made.kill();
      const failure = await writer.write(batch(put(1, 1, 11)), signal).catch((error) => error);
      assert.ok(isCoded('sink_unreachable')(failure), String(failure));
      assert.ok(!`${failure.message} ${JSON.stringify(failure.facts)}`.includes(made.secret));
    });

    test('ends a write early when it is told to stop', async () => {
      await using made = await open();
      await using writer = await made.sink.open(TASK, signal);
      await assert.rejects(writer.write(batch(put(0, 1, 10)), AbortSignal.abort()));
      assert.deepEqual(await made.rows(), {});
    });

    if (!keepsAccount) return;
    describe('and its account', () => {
      test('is told to the next writer', async () => {
        await using made = await open();
        {
          await using writer = await made.sink.open(TASK, signal);
          assert.equal(writer.account, undefined);
          const given = [put(0, 1, 10), put(1, 2, -1), put(3, 2, -2)];
          await writer.write({ ...batch(...given), leftOut: [2], next: 9 }, signal);
          assert.deepEqual(writer.account, accountOf(9, 'mark 4', [1, 2, 3]));
        }
        await using next = await made.sink.open(TASK, signal);
        assert.deepEqual(next.account, accountOf(9, 'mark 4', [1, 2, 3]));
        await next.write({ ...batch(put(1, 2, 15), put(3, 2, 20)), next: 9, mark: 'm' }, signal);
        assert.deepEqual(next.account, accountOf(9, 'm', [2]));
        assert.deepEqual(await made.rows(), { 1: 10, 2: 20 });
        await using other = await made.sink.open('another/task-0', signal);
        assert.equal(other.account, undefined);
      });

      test('keeps out the writer of before, once another has written', async () => {
        await using made = await open();
        await using zombie = await made.sink.open(TASK, signal);
        await using writer = await made.sink.open(TASK, signal);
        await writer.write(batch(put(0, 1, 10)), signal);
        await assert.rejects(
          zombie.write(batch(put(0, 1, 99)), signal),
          isCoded('commit_conflict'),
        );
        await writer.write(batch(put(1, 2, 20)), signal);
        assert.deepEqual(await made.rows(), { 1: 10, 2: 20 });
      });
    });
  });
}

function accountOf(next: number, mark: string, leftOut: readonly number[]) {
  return { next, mark, leftOut: new Set(leftOut) };
}
