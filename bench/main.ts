/*
 * npm run bench -- NAME [--json]: a headline number beside its peer's, from the same run.
 * With --json the last line is one object { name, figures }.
 */
import { benchBatch } from './batch.ts';
import { benchCapture } from './capture.ts';
import { benchCopy } from './copy.ts';
import type { Figures } from './figures.ts';
import { benchKafka } from './kafka.ts';
import { benchLake } from './lake.ts';
import { benchLatency } from './latency.ts';
import { benchStream } from './stream.ts';

const BENCHES: Readonly<Record<string, () => Promise<Figures>>> = {
  batch: benchBatch,
  capture: benchCapture,
  copy: benchCopy,
  kafka: benchKafka,
  lake: benchLake,
  latency: benchLatency,
  stream: benchStream,
};

const [name = '', ...flags] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined || flags.some((flag) => flag !== '--json')) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--json]`);
  process.exit(2);
}
try {
  const figures = await bench();
  const width = Math.max(...Object.keys(figures).map((figure) => figure.length));
  for (const [figure, value] of Object.entries(figures))
    console.log(`${figure.padEnd(width)}  ${value.toLocaleString('en')}`);
  if (flags.includes('--json')) console.log(JSON.stringify({ name, figures }));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
