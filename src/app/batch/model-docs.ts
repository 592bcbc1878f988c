import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDirect } from '../../batch/lineage/influence.ts';
import { type LineageGraph, lineageGraph, modelId } from '../../batch/lineage/lineage-graph.ts';
import { jobContext } from '../../batch/models/compile.ts';
import { MillraceError } from '../../domain/errors.ts';
import { lineageOptions } from './lineage-options.ts';
import { compileProject, lastOf, type ModelsAt } from './model-commands.ts';
import { modelPage } from './model-page.ts';
import { openEngine } from './open.ts';

/** Writes the page about all models into a folder. Throws `models_invalid` when they are not right. */
export async function writeModelDocs(
  at: ModelsAt,
  { to, cwd }: Readonly<{ to: string; cwd: string }>,
  signal: AbortSignal,
): Promise<Readonly<{ file: string; models: number }>> {
  const { compilation, sources, manifest, pipeline, place } = await compileProject(at, signal);
  const { config } = place;
  await using engine = await openEngine(config);
  const facts = { models: compilation.models, sources, manifest, config };
  const selected = new Set(compilation.models.map(({ model }) => model.name));
  const graph = lineageGraph({ ...(await lineageOptions(engine, facts)), selected });
  const context = jobContext(sources, {
    variables: pipeline.modelVariables ?? {},
    runStartedAtMs: Date.now(),
  });
  const models = compilation.models.map(({ model, columns, sources: read, render }) => {
    const last = lastOf(manifest, model.name);
    const isKept = last !== undefined && last.materialization !== 'view';
    return {
      model,
      columns,
      sources: read,
      origins: originsOf(graph, model.name),
      sql: render(context),
      ...(last === undefined ? {} : { lastBuiltAtMs: last.builtAtMs }),
      ...(isKept ? { rowCount: last.rows } : {}),
    };
  });
  const dir = resolve(cwd, to);
  const file = join(dir, 'index.html');
  await write(dir, file, modelPage(`Models of ${pipeline.name}`, models));
  return { file, models: models.length };
}

/** By column, what its values are made of, as far as it can be told; what only decides on rows is left out. */
function originsOf({ nodes }: LineageGraph, model: string): Record<string, readonly string[]> {
  const node = nodes.find(({ id }) => id === modelId(model));
  if (node?.kind !== 'model') return {};
  const names = new Map(nodes.map(({ id, name }) => [id, name]));
  return Object.fromEntries(
    [...node.origins.columns].map(([column, origins]) => [
      column,
      [
        ...new Set(
          origins
            .filter(isDirect)
            .map((origin) => `${names.get(origin.node) ?? origin.node}.${origin.column}`),
        ),
      ],
    ]),
  );
}

/** Whole or not at all: somebody may look. */
async function write(dir: string, file: string, text: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    await writeFile(`${file}.tmp`, text);
    await rename(`${file}.tmp`, file);
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new MillraceError(
      'usage',
      { expected: 'a folder that can be written', dir, found },
      error,
    );
  }
}
