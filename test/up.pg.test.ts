import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { query } from '../src/adapters/postgres/client.ts';
import { callOperation } from '../src/app/operations/call.ts';
import type { UpEvent, UpOptions } from '../src/app/roles/launch.ts';
import type {
  ArgumentsOf,
  OperationName,
  ReconcileEvent,
  SourceAddress,
  ValueOf,
} from '../src/app/operations/operations.ts';
import { resetData } from '../src/app/operations/reset.ts';
import { runGenerate } from '../src/app/operations/generate.ts';
import { runUp } from '../src/app/roles/up.ts';
import { must } from '../src/lib/must.ts';
import { eventually } from './command-line.ts';

const pipelineDir = fileURLToPath(new URL('../pipelines/shop', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'millrace-up-'));
const dataDir = join(folder, 'data');
const never = new AbortController().signal;

const options: UpOptions = {
  dataDir,
  pipelineDir,
  env: { LOG_LEVEL: 'debug' },
  demo: false,
  generate: false,
  adoptSlot: false,
};

/** A Millrace in this process; `until` resolves at the first event, past or coming, that fits. */
function start() {
  const stopping = new AbortController();
  const events: UpEvent[] = [];
  const waiting = new Set<() => void>();
  const ended = runUp(
    options,
    (event) => {
      events.push(event);
      for (const look of waiting) look();
    },
    stopping.signal,
  );
  const until = async <T>(find: (event: UpEvent) => T | undefined | false): Promise<T> => {
    const found = Promise.withResolvers<T>();
    const look = (): void => {
      const hit = events.map(find).find((each) => each !== undefined && each !== false);
      if (hit !== undefined && hit !== false) found.resolve(hit);
    };
    waiting.add(look);
    look();
    ended.then(() => found.reject(new Error('ended before')), found.reject);
    return found.promise.finally(() => waiting.delete(look));
  };
  return { until, ended, stop: () => stopping.abort() };
}

const ask = <Name extends OperationName>(name: Name, args: ArgumentsOf<Name>) =>
  Array.fromAsync(callOperation({ dataDir }, name, args, never));
const askOnce = async <Name extends OperationName>(
  name: Name,
  args: ArgumentsOf<Name>,
): Promise<ValueOf<Name>> => must((await ask(name, args))[0], `${name} answers once`);

const generate = (batches: number) =>
  runGenerate(
    { dataDir, pipelineDir, env: {}, demo: false, seed: 1, rate: 10_000, batches },
    () => {},
    never,
  );

const summaryOf = (events: readonly ReconcileEvent[]) =>
  must(
    events.find((event) => event.kind === 'summary'),
    'a reconciliation ends with a summary',
  );

describe('everything embedded, in one process', () => {
  let running: ReturnType<typeof start>;
  before(async () => {
    running = start();
    await running.until(({ kind }) => kind === 'ready');
  });
  after(async () => {
    running.stop();
    await running.ended;
    await resetData({ dataDir }, never);
    rmSync(folder, { recursive: true, force: true });
  });

  test('copies what is there, streams what comes, and serves it', async () => {
    await running.until((event) => event.kind === 'tick' && event.connector?.state === 'streaming');
    await generate(2);
    const summary = summaryOf(await ask('reconcile', {}));
    assert.ok(summary.figures > 50, `${summary.figures} figures`);
    assert.equal(summary.differences, 0);
    const [copied] = await ask('consume', {
      topics: 'dbserver1.public.customers',
      from: 'beginning',
      follow: false,
      limit: 1,
    });
    assert.equal((must(copied, 'rows were copied').value as { op: string }).op, 'r');
    const status = await askOnce('status', {});
    assert.equal(status.running, true);
    assert.deepEqual(status.failures, []);
  });

  test('reconciles while rows keep coming', async () => {
    const generating = generate(20);
    const events = await ask('reconcile', {});
    await generating;
    assert.equal(summaryOf(events).differences, 0);
  });

  test('rests its connector when asked, and goes on without a loss', async () => {
    assert.equal((await askOnce('connector.pause', {})).state, 'paused');
    await generate(1);
    assert.notEqual((await askOnce('connector.resume', {})).state, 'paused');
    assert.equal(summaryOf(await ask('reconcile', {})).differences, 0);
  });

  test('copies tables again when asked, and makes its connections anew', async () => {
    assert.equal((await askOnce('connector.restart', {})).state, 'streaming');
    const ordered = await askOnce('connector.copy', { tables: ['public.customers'] });
    assert.deepEqual(
      ordered.copy?.map(({ table }) => table),
      ['public.customers'],
    );
    await eventually('copied', async () => {
      const { copy = [] } = await askOnce('connector.status', {});
      return copy.every(({ done }) => done);
    });
    assert.equal(summaryOf(await ask('reconcile', {})).differences, 0);
    assert.equal((await askOnce('connector.status', {})).state, 'streaming');
    await assert.rejects(ask('connector.copy', { tables: ['public.nothing'] }), { code: 'usage' });
  });

  test('refuses a second one on the same data', async () => {
    await assert.rejects(start().ended, { code: 'data_dir_locked' });
  });

  test('starts PostgreSQL again when it is killed, and loses nothing', async () => {
    process.kill(await postmasterPid(await askOnce('source', {})), 'SIGKILL');
    await running.until((event) => event.kind === 'recovered' && event.part === 'connector');
    await generate(1);
    assert.equal(summaryOf(await ask('reconcile', {})).differences, 0);
  });

  test('stops in order when told through its socket, and resumes where it was', async () => {
    const before = await askOnce('status', {});
    const startedMs = performance.now();
    await ask('stop', {});
    await running.ended;
    assert.ok(performance.now() - startedMs < 2000, 'two seconds to stop');
    const stopped = await askOnce('status', {});
    assert.equal(stopped.running, false);
    running = start();
    await running.until((event) => event.kind === 'tick' && event.connector?.state === 'streaming');
    const after = await askOnce('status', {});
    const copied = ({ topics }: typeof before) =>
      topics.filter(({ topic }) => topic.startsWith('dbserver1')).map(({ records }) => records);
    assert.deepEqual(copied(after), copied(before));
    await generate(1);
    assert.equal(summaryOf(await ask('reconcile', {})).differences, 0);
  });
});

async function postmasterPid({ password = '', ...address }: SourceAddress): Promise<number> {
  const [row] = await query({ ...address, password }, 'SHOW data_directory');
  const data = must(row?.['data_directory'], 'SHOW gives one row');
  return Number.parseInt(readFileSync(join(data, 'postmaster.pid'), 'utf8'));
}
