import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { UpEvent } from '../app/roles/launch.ts';
import { UpProgress } from './progress.ts';
import { Terminal } from './terminal.ts';

const TICK: UpEvent = {
  kind: 'tick',
  connector: {
    component: 'connector',
    atMs: 0,
    name: 'shop',
    state: 'streaming',
    slot: 's',
    publication: 'p',
    changes: 1234,
    lagBytes: 0,
    copy: [{ table: 'public.orders', rows: 8, estimatedRows: 8, done: true }],
  },
  processors: [
    {
      component: 'processor:cdc',
      atMs: 0,
      name: 'cdc',
      state: 'running',
      records: 1200,
      parked: 1,
      late: 0,
      tasks: [],
    },
  ],
  capturedPerSecond: 50,
  processedPerSecond: { cdc: 49 },
};

function shown(...events: UpEvent[]): string[] {
  const out = new PassThrough();
  const progress = new UpProgress(
    new Terminal({ out, err: out, noColour: true }),
    'Go on.',
    () => 0,
  );
  for (const event of events) progress.show(event);
  return String(out.read() ?? '')
    .split('\n')
    .filter((line) => line !== '');
}

test('a tick is a line of what moves', () => {
  const [line = ''] = shown(TICK);
  assert.match(
    line,
    /streaming \| copied 8 \| streamed 1,226 \(50\/s\) \| slot lag 0 B \| cdc 1,200 \(49\/s\) lag 0 parked 1$/,
  );
});

test('an idle second adds no line', () => {
  assert.equal(shown(TICK, TICK, TICK).length, 1);
});

test('addresses are shown without their passwords', () => {
  const urls = { PostgreSQL: 'postgres://u:secret@127.0.0.1:5432/d' };
  const lines = shown({ kind: 'ready', urls, tookMs: 1200 });
  assert.match(
    lines.join('\n'),
    /postgres:\/\/u@127\.0\.0\.1:5432\/d[\s\S]*Up in 1\.2 s\. Go on\./,
  );
});
