import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { TopologyTestDriver } from '../driver/topology-test-driver.ts';
import type { ProcessFunctions } from './process.ts';
import { topology } from '../topology/topology.ts';

type Visit = Readonly<{ key: number; do: string; atMs?: number }>;
const visits = defineTable<{ key: number }, Visit>({ topic: 'visits', key: ['key'] });

type Functions = ProcessFunctions<number, Visit, string, string>;

function driverOf(functions: Functions): TopologyTestDriver {
  return new TopologyTestDriver(
    topology('test', {}, ({ created }) => {
      created(visits)
        .selectKey(({ key }) => key)
        .process({ name: 'walk', ...functions })
        .to('walked');
    }),
  );
}

const obey: Functions = {
  onRecord({ do: order, atMs = 0 }, { state, emit, setTimer, deleteTimer }) {
    if (order === 'set') setTimer(atMs);
    if (order === 'delete') deleteTimer(atMs);
    if (order === 'clear') state.clear();
    state.set(`${state.get() ?? ''}${order} `);
    emit(order);
  },
  onTimer({ key, timeMs, state, emit }) {
    emit(`${key} at ${timeMs} after ${state.get()}`);
    state.clear();
  },
};

const valuesIn = (driver: TopologyTestDriver): unknown[] =>
  driver.read('walked').map(({ value }) => value);
const tell = (driver: TopologyTestDriver, atMs: number, visit: Visit): void =>
  driver.insert(visits, visit, { atMs });

describe('a processor of streams', () => {
  test('may not set a timer that would be called for ever', () => {
    const driver = driverOf({
      onRecord: (_, { setTimer }) => setTimer(50),
      onTimer: ({ timeMs, setTimer }) => setTimer(timeMs),
    });
    tell(driver, 10, { key: 1, do: 'set' });
    assert.throws(() => driver.advanceTime(50), /expected one after 50, found 50/);
  });

  test('has its timers called in the order of their times, each once', () => {
    const driver = driverOf(obey);
    tell(driver, 10, { key: 2, do: 'set', atMs: 50 });
    tell(driver, 11, { key: 1, do: 'set', atMs: 60 });
    tell(driver, 12, { key: 1, do: 'set', atMs: 40 });
    tell(driver, 13, { key: 1, do: 'set', atMs: 60 });
    valuesIn(driver);
    driver.advanceTime(39);
    assert.deepEqual(valuesIn(driver), []);
    driver.advanceTime(1000);
    assert.deepEqual(valuesIn(driver), [
      '1 at 40 after set set set ',
      '2 at 50 after set ',
      '1 at 60 after undefined',
    ]);
    driver.advanceTime(2000);
    assert.deepEqual(valuesIn(driver), []);
    assert.equal(driver.state('walk').size, 0);
  });

  test('has a timer in the past called right after the record', () => {
    const driver = driverOf(obey);
    tell(driver, 100, { key: 1, do: 'set', atMs: 100 });
    assert.deepEqual(valuesIn(driver), ['set', '1 at 100 after set ']);
  });

  test('has no timer called that was deleted, or taken back with the record that set it', () => {
    const driver = driverOf({
      ...obey,
      onRecord(visit, context) {
        obey.onRecord(visit, context);
        if (visit.do === 'fail') {
          context.setTimer(30);
          context.deleteTimer(70);
          throw new RangeError('failed');
        }
      },
    });
    tell(driver, 10, { key: 1, do: 'set', atMs: 50 });
    tell(driver, 10, { key: 1, do: 'set', atMs: 70 });
    tell(driver, 10, { key: 2, do: 'set', atMs: 60 });
    tell(driver, 10, { key: 1, do: 'delete', atMs: 50 });
    assert.throws(() => tell(driver, 10, { key: 1, do: 'fail' }), /failed/);
    valuesIn(driver);
    driver.advanceTime(1000);
    assert.deepEqual(valuesIn(driver), ['2 at 60 after set ', '1 at 70 after set set delete ']);
  });

  test('may set timers while one is called, also of a time that has passed', () => {
    const driver = driverOf({
      onRecord: (_, { setTimer }) => setTimer(10),
      onTimer({ timeMs, watermarkMs, emit, setTimer }) {
        emit(`${timeMs} ${watermarkMs}`);
        if (timeMs < 30) setTimer(timeMs + 10);
      },
    });
    tell(driver, 5, { key: 1, do: 'set' });
    driver.advanceTime(25);
    assert.deepEqual(valuesIn(driver), ['10 25', '20 25']);
    driver.advanceTime(30);
    assert.deepEqual(valuesIn(driver), ['30 30']);
  });

  test('is told which of its calls make no sense', () => {
    const without = driverOf({ onRecord: (_, { setTimer }) => setTimer(10) });
    assert.throws(() => tell(without, 1, { key: 1, do: 'set' }), /no onTimer/);
    const fractional = driverOf({ ...obey, onRecord: (_, { setTimer }) => setTimer(1.5) });
    assert.throws(() => tell(fractional, 1, { key: 1, do: 'set' }), /whole ms/);
  });
});
