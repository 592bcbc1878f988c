import { MillraceError } from '../../domain/errors.ts';
import { outlineOf, type Outline } from '../../stream/topology/outline.ts';
import { mermaidOf, textOf } from '../../stream/topology/print.ts';
import { compiledOf, partitionsOf } from '../compose.ts';
import type { Environment } from '../config/environment.ts';
import { loadPipeline } from '../config/load-pipeline.ts';

export const TOPOLOGY_FORMATS = ['text', 'mermaid', 'json'] as const;
export type TopologyFormat = (typeof TOPOLOGY_FORMATS)[number];

type Place = Readonly<{ pipelineDir: string; env: Environment }>;

/** What the processors of a pipeline do, or one of them; read from its code alone. */
export async function printTopologies(
  { pipelineDir, env }: Place,
  processor: string | undefined,
  format: TopologyFormat,
): Promise<readonly string[]> {
  const outlines = await outlinesIn({ pipelineDir, env }, processor);
  if (format === 'json') return outlines.map((outline) => JSON.stringify(outline));
  if (format === 'mermaid') return mermaidOf(outlines);
  return outlines.flatMap((outline, at) => [...(at === 0 ? [] : ['']), ...textOf(outline)]);
}

async function outlinesIn(
  { pipelineDir, env }: Place,
  processor: string | undefined,
): Promise<readonly Outline[]> {
  const pipeline = await loadPipeline(pipelineDir, env);
  const partitions = partitionsOf(pipeline);
  const outlines: Outline[] = [];
  const written = new Map<string, number>();
  for (const each of compiledOf(pipeline)) {
    const outline = outlineOf(each, (topic) => written.get(topic) ?? partitions(topic));
    for (const write of outline.writes) written.set(write.topic, write.partitions);
    outlines.push(outline);
  }
  const found = outlines.filter((each) => processor === undefined || each.processor === processor);
  if (found.length > 0 || processor === undefined) return found;
  throw new MillraceError('usage', {
    expected: `a processor of pipeline ${pipeline.name}: ${outlines.map((each) => each.processor).join(', ')}`,
    found: processor,
  });
}
