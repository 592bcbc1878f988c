import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineTable } from '../../domain/table.ts';
import { compile } from './compile.ts';
import { outlineOf } from './outline.ts';
import { mermaidOf, textOf } from './print.ts';
import { topology } from './topology.ts';
import { tumbling } from './windows.ts';

const orders = defineTable<{ id: number }, { id: number; state: string }>({
  topic: 'shop.orders',
  key: ['id'],
});

const perState = topology('per-state', { version: '3' }, ({ created, topic }) => {
  created(orders)
    .groupBy(({ state }) => state)
    .windowedBy(tumbling({ sizeMs: 60_000 }))
    .count({ name: 'perMinute' })
    .final()
    .to('per-minute', { partitions: 2 });
  topic<string>('sayings').serve({ prefix: 'a "quoted" `prefix`|end]' });
});
const compiled = compile(perState, (name) => (name === 'shop.orders' ? 4 : 1));
const outline = outlineOf(compiled, (name) => (name === 'shop.orders' ? 4 : 1));

test('tells stages, operators with their settings, topics and prefixes', () => {
  assert.deepEqual(textOf(outline), [
    `per-state version 3 (${compiled.hash})`,
    '',
    '  stage shop.orders  changes, 4 partitions',
    '    stream-1 (topic shop.orders, copied false, ownTime false) <- the topic',
    '    filter-1 <- stream-1',
    '    map-1 <- filter-1',
    '    selectKey-1 <- map-1 => per-state.perMinute.repartition',
    '',
    '  stage per-state.perMinute.repartition  internal, 4 partitions, from shop.orders',
    '    perMinute (count, window tumbling, sizeMs 60000, advanceMs 60000, graceMs 0), keeps state <- the topic',
    '    to-1 (topic per-minute) <- perMinute.final => per-minute',
    '',
    '  stage sayings  json, 1 partition',
    '    topic-1 (topic sayings, ownTime false) <- the topic',
    '    serve-1 (prefix a "quoted" `prefix`|end]) <- topic-1 => keys "a "quoted" `prefix`|end]…"',
    '',
    '  writes',
    '    per-state.perMinute.repartition  4 partitions, internal',
    '    per-minute  2 partitions',
    '',
    '  serves keys under',
    String.raw`    "a \"quoted\" `.concat('`prefix`|end]"'),
  ]);
});

test('tells the topics of a processor that is code', () => {
  const code = { name: 'by-hand', topics: ['shop.orders'], process: () => undefined };
  assert.deepEqual(textOf(outlineOf(code, () => 2)), [
    'by-hand (code)',
    '',
    '  stage shop.orders  changes, 2 partitions',
  ]);
});

/** The part of Mermaid's flowchart grammar that is used: of each line, what it may be. */
const LABEL = String.raw`"(?:[\p{L}\p{N} .,:…_-]|#\d+;|<br/>)*"`;
const LINES = [
  'flowchart LR',
  String.raw` +subgraph n\d+\[${LABEL}\]`,
  ' +end',
  String.raw` +n\d+(?:\[${LABEL}\]|\(${LABEL}\)|\[\(${LABEL}\)\]|\[\[${LABEL}\]\]|>${LABEL}\])`,
  String.raw` +n\d+ -->(?:\|${LABEL}\|)? n\d+`,
].map((line) => new RegExp(`^${line}$`, 'u'));

test('draws a flowchart in which no name is taken for syntax, and every edge has its ends', () => {
  const code = { name: 'end', topics: ['shop.orders'], process: () => undefined };
  const lines = mermaidOf([outline, outlineOf(code, () => 4)]);
  for (const line of lines)
    assert.ok(
      LINES.some((form) => form.test(line)),
      line,
    );
  const opened = lines.filter((line) => line.trim().startsWith('subgraph')).length;
  assert.equal(lines.filter((line) => line.trim() === 'end').length, opened);
  const shown = new Set(
    lines.flatMap((line) => /^ +(?:subgraph )?(n\d+)[[(>]/.exec(line)?.[1] ?? []),
  );
  const ends = lines.flatMap((line) => [...line.matchAll(/^ +(n\d+) -->.* (n\d+)$/g)]);
  assert.equal(ends.length, 12);
  for (const [, from = '', to = ''] of ends) assert.ok(shown.has(from) && shown.has(to));
});
