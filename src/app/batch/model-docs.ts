import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { jobContext } from '../../batch/models/compile.ts';
import { MillraceError } from '../../domain/errors.ts';
import { compileProject, lastOf, type ModelsAt } from './model-commands.ts';
import { modelPage } from './model-page.ts';

/** Writes the page about all models into a folder. Throws `models_invalid` when they are not right. */
export async function writeModelDocs(
  at: ModelsAt,
  { to, cwd }: Readonly<{ to: string; cwd: string }>,
  signal: AbortSignal,
): Promise<Readonly<{ file: string; models: number }>> {
  const { compilation, sources, manifest, pipeline } = await compileProject(at, signal);
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
      origins: {},
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
