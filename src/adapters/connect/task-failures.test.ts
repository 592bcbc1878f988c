import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failureIn, isHopeless, TaskFailures } from './task-failures.ts';

const running = { connector: { state: 'RUNNING' }, tasks: [{ id: 0, state: 'RUNNING' }] } as const;
const failed = (trace: string) =>
  ({ connector: { state: 'RUNNING' }, tasks: [{ id: 0, state: 'FAILED', trace }] }) as const;

describe('TaskFailures', () => {
  /** When tasks that fail at once again are started, looked at each 50 ms. */
  const starts = (failures: TaskFailures, untilMs: number) =>
    Array.from({ length: untilMs / 50 }, (_, n) => n * 50).filter((ms) => failures.isDue(true, ms));

  test('starts failed tasks again, later each time', () => {
    assert.deepEqual(starts(new TaskFailures(() => 1), 4000), [250, 800, 1850, 3900]);
  });

  test('begins anew once they have run for a while', () => {
    const failures = new TaskFailures(() => 1);
    starts(failures, 4000);
    assert.equal(failures.isDue(false, 70_000), false);
    assert.equal(failures.isDue(true, 70_000), false);
    assert.equal(failures.isDue(true, 70_250), true);
  });
});

describe('failureIn', () => {
  test('is the last cause, without the classes and the stack', () => {
    const trace = [
      'org.apache.kafka.connect.errors.ConnectException: An exception occurred',
      '\tat io.debezium.X.run(X.java:1)',
      'Caused by: io.debezium.DebeziumException: Failed to start',
      '\t... 5 more',
      'Caused by: org.postgresql.util.PSQLException: ERROR: slot "s" is active',
      '  Detail: by another',
      '\tat org.postgresql.Y.z(Y.java:2)',
      '\t... 6 more',
    ].join('\n');
    assert.equal(failureIn(failed(trace)), 'ERROR: slot "s" is active Detail: by another');
    assert.equal(failureIn(failed('io.debezium.DebeziumException: gone\n\tat x')), 'gone');
    assert.equal(failureIn(running), undefined);
  });
});

describe('isHopeless', () => {
  test('tells what starting again can never mend', () => {
    const gone =
      'The connector is trying to read change stream starting at …, but this is no longer available on the server.';
    assert.ok(isHopeless(gone));
    assert.ok(!isHopeless('FATAL: the database system is starting up'));
  });
});
