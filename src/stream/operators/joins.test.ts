import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { defineTable } from '../../domain/table.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import { type Sources, topology } from '../topology/topology.ts';

type Left = Readonly<{ id: number; key: number }>;
const lefts = defineTable<{ id: number }, Left>({ topic: 'lefts', key: ['id'] });
const rights = defineTable<{ id: number }, Left>({ topic: 'rights', key: ['id'] });
const rows = defineTable<{ key: number }, { key: number; name: string }>({
  topic: 'rows',
  key: ['key'],
});

const FAR_MS = 1_000_000;
const GRACE_MS = 50;

/** Elements of either side, none more than the grace behind the latest before it. */
const history = fc
  .array(
    fc.record({
      side: fc.constantFrom(0, 1),
      key: fc.integer({ min: 0, max: 2 }),
      stepMs: fc.integer({ min: 0, max: 40 }),
      behindMs: fc.integer({ min: 0, max: GRACE_MS }),
    }),
    { maxLength: 40 },
  )
  .map((steps) => {
    let latestMs = 1000;
    return steps.map(({ side, key, stepMs, behindMs }, id) => {
      latestMs += stepMs;
      return { side, id, key, atMs: latestMs - behindMs };
    });
  });

function driverOf(build: (sources: Sources) => void, partitions: number): TopologyTestDriver {
  return new TopologyTestDriver(topology('test', {}, build), { partitions });
}

function valuesIn(driver: TopologyTestDriver, topic: string): unknown[] {
  const values = driver.read(topic).map(({ value }) => value as string);
  return values.toSorted((a, b) => (a < b ? -1 : 1));
}

describe('a join of two streams', () => {
  for (const type of ['inner', 'left', 'outer'] as const) {
    test(`${type}: gives what comparing all with all gives, whatever the order`, () => {
      fc.assert(
        fc.property(history, fc.constantFrom(1, 3), (elements, partitions) => {
          const driver = driverOf(({ created }) => {
            const left = created(lefts).selectKey(({ key }) => key);
            const right = created(rights).selectKey(({ key }) => key);
            const window = { beforeMs: 30, afterMs: 60, graceMs: GRACE_MS };
            left
              .join(right, (a, b) => `${a?.id ?? '-'} ${b?.id ?? '-'}`, {
                ...window,
                // One of three, which the compiler can't tell apart here.
                type: type as 'outer',
              })
              .to('joined');
          }, partitions);
          for (const { side, id, key, atMs } of elements) {
            driver.insert(side === 0 ? lefts : rights, { id, key }, { atMs });
          }
          driver.advanceTime(FAR_MS);

          const of = (side: number) => elements.filter((each) => each.side === side);
          const pairs = of(0).flatMap((a) =>
            of(1)
              .filter((b) => a.key === b.key && b.atMs >= a.atMs - 30 && b.atMs <= a.atMs + 60)
              .map((b) => [a.id, b.id] as const),
          );
          const unmet = (side: 0 | 1) =>
            of(side).filter(({ id }) => !pairs.some((pair) => pair[side] === id));
          const expected = [
            ...pairs.map(([a, b]) => `${a} ${b}`),
            ...(type === 'inner' ? [] : unmet(0).map(({ id }) => `${id} -`)),
            ...(type === 'outer' ? unmet(1).map(({ id }) => `- ${id}`) : []),
          ];
          assert.deepEqual(
            valuesIn(driver, 'joined'),
            expected.toSorted((a, b) => (a < b ? -1 : 1)),
          );
          assert.equal(driver.late, 0);
        }),
        { numRuns: 200 },
      );
    });
  }

  test('an element past the grace is late, and lost to nobody', () => {
    const driver = driverOf(({ created }) => {
      const left = created(lefts).selectKey(({ key }) => key);
      const right = created(rights).selectKey(({ key }) => key);
      left.join(right, (a, b) => `${a.id} ${b.id}`, { withinMs: 10 }).to('joined');
    }, 1);
    driver.insert(lefts, { id: 1, key: 1 }, { atMs: 100 });
    driver.insert(rights, { id: 2, key: 1 }, { atMs: 500 });
    driver.insert(lefts, { id: 3, key: 1 }, { atMs: 500 });
    driver.insert(rights, { id: 4, key: 1 }, { atMs: 100 });
    assert.deepEqual(valuesIn(driver, 'joined'), ['3 2']);
    assert.equal(driver.late, 1);
  });
});

describe('a join of a stream with a table', () => {
  const change = fc.record({
    key: fc.integer({ min: 0, max: 2 }),
    stepMs: fc.integer({ min: 1, max: 40 }),
    does: fc.constantFrom('order', 'order', 'write', 'delete'),
    /** Rows' changes come in the order of their times, each topic for itself. */
    isHeld: fc.boolean(),
  });

  test('each element meets the row of its time, whichever comes first', () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 40 }),
        fc.constantFrom(1, 3),
        (steps, partitions) => {
          const driver = driverOf(({ created, table }) => {
            created(lefts)
              .selectKey(({ key }) => ({ key }))
              .joinTable(table(rows), (left, row) => `${left.id} ${row?.name ?? '-'}`, {
                type: 'left',
              })
              .to('joined');
          }, partitions);
          let atMs = 1000;
          const versions = new Map<number, string>();
          const expected: string[] = [];
          const held: (() => void)[] = [];
          for (const [id, { key, stepMs, does, isHeld }] of steps.entries()) {
            atMs += stepMs;
            const at = { atMs };
            const name = versions.get(key);
            if (does === 'order') {
              expected.push(`${id} ${name ?? '-'}`);
              driver.insert(lefts, { id, key }, at);
              continue;
            }
            const row = { key, name: `n${id}` };
            const happen =
              does === 'write'
                ? () => driver.insert(rows, row, at)
                : () => driver.delete(rows, row, at);
            if (does === 'write') versions.set(key, row.name);
            else versions.delete(key);
            held.push(happen);
            if (isHeld) continue;
            for (const each of held.splice(0)) each();
          }
          for (const each of held) each();
          driver.advanceTime(FAR_MS);
          assert.deepEqual(
            valuesIn(driver, 'joined'),
            expected.toSorted((a, b) => (a < b ? -1 : 1)),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  const named = ({ created, table }: Sources): void =>
    created(lefts)
      .selectKey(({ key }) => ({ key }))
      .joinTable(table(rows), ({ id }, { name }) => `${id} ${name}`, { name: 'named' })
      .to('out');

  test('a row that went is forgotten once no element can ask for it', () => {
    const driver = driverOf(named, 1);
    const row = { key: 1, name: 'a' };
    driver.insert(rows, row, { atMs: 1_000 });
    driver.insert(lefts, { id: 1, key: 1 }, { atMs: 1_500 });
    driver.delete(rows, row, { atMs: 2_000 });
    driver.insert(lefts, { id: 2, key: 1 }, { atMs: 2_000 });
    driver.advanceTime(2_001);
    assert.deepEqual(valuesIn(driver, 'out'), ['1 a']);
    assert.deepEqual([...driver.state('named').keys()], []);
  });

  test('one that comes back meanwhile is not', () => {
    const driver = driverOf(named, 1);
    driver.insert(rows, { key: 1, name: 'a' }, { atMs: 1_000 });
    driver.delete(rows, { key: 1, name: 'a' }, { atMs: 2_000 });
    driver.insert(rows, { key: 1, name: 'b' }, { atMs: 2_000 });
    driver.advanceTime(2_500);
    driver.insert(lefts, { id: 1, key: 1 }, { atMs: 2_600 });
    driver.advanceTime(3_000);
    assert.deepEqual(valuesIn(driver, 'out'), ['1 b']);
  });

  test('the last change of a row holds, whatever its time', () => {
    type Timed = Readonly<{ atMs: number }>;
    const driver = driverOf(({ topic }) => {
      const timeMs = ({ atMs }: Timed): number => atMs;
      const counts = topic<Timed>('facts', { timeMs }).groupByKey().count();
      topic<Timed>('asks', { timeMs })
        .joinTable(counts, (_, count) => count)
        .to('out');
    }, 1);
    driver.pipe('facts', { key: 'k', value: { atMs: 100 } });
    driver.pipe('facts', { key: 'k', value: { atMs: 90 } });
    driver.pipe('asks', { key: 'k', value: { atMs: 200 } });
    driver.advanceTime(300);
    assert.deepEqual(
      driver.read('out').map(({ value }) => value),
      [2],
    );
  });

  test(
    'thousands that wait for one moment cost no more each than a few do',
    { timeout: 20_000 },
    () => {
      for (const keys of [1, 5_000]) {
        const driver = driverOf(named, 1);
        for (let key = 0; key < keys; key += 1)
          driver.insert(rows, { key, name: `${key}` }, { atMs: 0 });
        for (let id = 0; id < 5_000; id += 1)
          driver.insert(lefts, { id, key: id % keys }, { atMs: 1_000 + id });
        driver.advanceTime(1_000_000);
        assert.equal(driver.read('out').length, 5_000);
      }
    },
  );

  test('by arrival it meets the row that is known, at once', () => {
    const driver = driverOf(({ created, table }) => {
      created(lefts)
        .selectKey(({ key }) => ({ key }))
        .joinTable(table(rows), ({ id }, { name }) => `${id} ${name}`, { timing: 'arrival' })
        .to('joined');
    }, 1);
    driver.insert(lefts, { id: 1, key: 1 }, { atMs: 100 });
    driver.copy(rows, { key: 1, name: 'one' }, { atMs: 90 });
    driver.insert(lefts, { id: 2, key: 1 }, { atMs: 80 });
    assert.deepEqual(valuesIn(driver, 'joined'), ['2 one']);
  });
});

describe('a join of two tables', () => {
  const others = defineTable<{ key: number }, { key: number; size: number }>({
    topic: 'others',
    key: ['key'],
  });
  const step = fc.record({
    side: fc.constantFrom(0, 1),
    key: fc.integer({ min: 0, max: 3 }),
    does: fc.constantFrom('write', 'write', 'write', 'delete', 'copy', 'truncate'),
  });

  for (const type of ['inner', 'left', 'outer'] as const) {
    test(`${type}: ends as the final tables say`, () => {
      fc.assert(
        fc.property(
          fc.array(step, { maxLength: 40 }),
          fc.constantFrom(1, 3),
          (steps, partitions) => {
            const driver = driverOf(({ table }) => {
              table(rows)
                .join(table(others), (a, b) => `${a?.name ?? '-'} ${b?.size ?? '-'}`, {
                  type: type as 'outer',
                })
                .serve({ prefix: 'joined:' });
            }, partitions);
            const names = new Map<number, string>();
            const sizes = new Map<number, number>();
            for (const [n, { side, key, does }] of steps.entries()) {
              const kept = side === 0 ? names : sizes;
              const rowOf = (value: unknown) =>
                side === 0 ? { key, name: value as string } : { key, size: value as number };
              const ref = (side === 0 ? rows : others) as typeof rows;
              const old = kept.get(key);
              if (does === 'truncate') {
                kept.clear();
                driver.truncate(ref);
              } else if (does === 'delete') {
                kept.delete(key);
                if (old !== undefined) driver.delete(ref, rowOf(old) as never);
              } else if (does === 'copy') {
                if (old !== undefined) driver.copy(ref, rowOf(old) as never);
              } else {
                const value = side === 0 ? `n${n}` : n;
                kept.set(key, value as never);
                if (old === undefined) driver.insert(ref, rowOf(value) as never);
                else driver.update(ref, rowOf(old) as never, rowOf(value) as never);
              }
            }
            const expected: Record<string, string> = {};
            for (const key of new Set([...names.keys(), ...sizes.keys()])) {
              const isThere =
                (names.has(key) && sizes.has(key)) ||
                (names.has(key) && type !== 'inner') ||
                type === 'outer';
              if (isThere)
                expected[`joined:{"key":${key}}`] =
                  `${names.get(key) ?? '-'} ${sizes.get(key) ?? '-'}`;
            }
            const found = driver.servedKeys('joined:').map((key) => [key, driver.served(key)]);
            assert.deepEqual(Object.fromEntries(found), expected);
          },
        ),
        { numRuns: 200 },
      );
    });
  }
});
