import { readdir } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { didYouMean } from '../../lib/suggestion.ts';
import { must } from '../../lib/must.ts';
import { parseModelFile } from './model-file.ts';
import type { Model } from './model.ts';
import { type Problem, refuse } from './problem.ts';
import { readProjectFile } from './project-file.ts';
import { parseTemplate, tagsOf } from './template.ts';

/** The models of a folder, which agree with each other. */
export type ModelProject = Readonly<{
  dir: string;
  /** Each after those that its SELECT and its tests name; else by name. */
  models: readonly Model[];
}>;

/**
 * Reads all `.sql` files below a folder. A missing folder has no models. Throws `models_invalid`
 * with all that is wrong in all files; whether sources are there, `compileModels` says.
 */
export async function loadModels(dir: string): Promise<ModelProject> {
  const problems: Problem[] = [];
  const models: Model[] = [];
  for (const path of await modelFiles(dir)) {
    const file = [basename(dir), ...relative(dir, path).split(sep)].join('/');
    const name = basename(path, '.sql');
    const read = (await readProjectFile(path)) ?? { problem: 'it went while it was to be read' };
    if ('problem' in read) {
      problems.push({ file, line: 1, text: read.problem });
      continue;
    }
    const problem = nameProblem(name);
    if (problem !== undefined) problems.push({ file, line: 1, text: problem });
    models.push(parseModelFile(read.text, { name, file }, problems));
  }
  refuseShared(models, problems);
  refuseUnknownRefs(models, problems);
  const sorted = sort(models, problems);
  refuse(problems);
  return { dir, models: sorted };
}

/** The models that these read, and what those read, and so on; without themselves. */
export function upstream(models: readonly Model[], of: Iterable<string>): ReadonlySet<string> {
  const refs = new Map(models.map((model) => [model.name, model.refs]));
  return reached(of, (name) => refs.get(name) ?? []);
}

/** The models that read these, and what reads those, and so on; without themselves. */
export function downstream(models: readonly Model[], of: Iterable<string>): ReadonlySet<string> {
  return reached(of, (name) =>
    models.filter((model) => model.refs.includes(name)).map((model) => model.name),
  );
}

function reached(
  from: Iterable<string>,
  next: (name: string) => readonly string[],
): ReadonlySet<string> {
  const found = new Set<string>();
  const queue = [...from];
  for (const name of queue)
    for (const each of next(name))
      if (!found.has(each)) {
        found.add(each);
        queue.push(each);
      }
  return found;
}

async function modelFiles(dir: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(dir, { recursive: true, withFileTypes: true });
    return entries
      .filter(({ name }) => /^[^.].*\.sql$/.test(name))
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    const found = error instanceof Error ? error.message : String(error);
    throw new MillraceError('models_invalid', { problems: [`${dir}: ${found}`] }, error);
  }
}

/** What SQL has under these names already, in the warehouse or in `millrace sql`. */
const RESERVED: ReadonlySet<string> = new Set([
  'changes',
  'information_schema',
  'main',
  'models',
  'pg_catalog',
  'public',
  'system',
  'temp',
]);

/** It names folders, and views in engines that know of no letter case. */
const MODEL_NAME = /^[a-z][a-z0-9_]{0,59}$/;

function nameProblem(name: string): string | undefined {
  if (!MODEL_NAME.test(name))
    return `a model's file is named in lower-case letters, digits and _, 60 at most, as the model is; found ${name}.sql`;
  if (RESERVED.has(name) || /^(src|affected)__/.test(name)) return `the name ${name} is reserved`;
  return undefined;
}

function refuseShared(models: readonly Model[], problems: Problem[]): void {
  const seen = <T>(
    what: readonly Readonly<{ key: T; model: Model; line: number; told: string }>[],
  ) => {
    const first = new Map<T, Readonly<{ model: Model; line: number }>>();
    for (const { key, model, line, told } of what) {
      const earlier = first.get(key);
      if (earlier === undefined) first.set(key, { model, line });
      else
        problems.push({
          file: model.file,
          line,
          text: `${told} is that of ${earlier.model.file}:${earlier.line} already`,
        });
    }
  };
  seen(
    models.map((model) => ({
      key: model.name,
      model,
      line: 1,
      told: `a model is named as its file is, in whatever folder; the name ${model.name}`,
    })),
  );
  seen(
    models.flatMap((model) =>
      model.header.serve.map(({ key, line }) => ({
        key,
        model,
        line,
        told: `the served key ${key}`,
      })),
    ),
  );
  seen(
    models.flatMap((model) =>
      model.header.tests.map(({ name, line }) => ({
        key: name,
        model,
        line,
        told: `the test's name ${name}`,
      })),
    ),
  );
}

function refuseUnknownRefs(models: readonly Model[], problems: Problem[]): void {
  const names = new Set(models.map(({ name }) => name));
  for (const model of models)
    for (const { ref, line } of refLines(model))
      if (!names.has(ref))
        problems.push({
          file: model.file,
          line,
          text: `there is no model ${ref}${didYouMean(ref, names) || `; a table is {{ source('${ref}') }}`}`,
        });
}

/** Each model that the file names, where it names it first. */
function refLines(model: Model): readonly Readonly<{ ref: string; line: number }>[] {
  const lines = new Map<string, number>();
  const note = (ref: string, line: number) => lines.has(ref) || lines.set(ref, line);
  for (const tag of tagsOf(parseTemplate(model.sql, model.line).template))
    if (tag.kind === 'ref') note(tag.model, tag.line);
  for (const test of model.header.tests) {
    if (test.kind === 'relationships' && 'ref' in test.to && test.to.ref !== model.name)
      note(test.to.ref, test.line);
    if (test.kind !== 'sql') continue;
    for (const tag of tagsOf(parseTemplate(test.sql, test.line).template))
      if (tag.kind === 'ref' && tag.model !== model.name) note(tag.model, tag.line);
  }
  return [...lines].map(([ref, line]) => ({ ref, line }));
}

/** Depth first. Each cycle is a problem, told once, at the model where it comes back to its begin. */
function sort(models: readonly Model[], problems: Problem[]): readonly Model[] {
  const byName = new Map(models.map((model) => [model.name, model]));
  const sorted: Model[] = [];
  const done = new Set<string>();
  const visit = (model: Model, path: readonly string[]): void => {
    const { name, file } = model;
    if (done.has(name)) return;
    for (const { ref, line } of refLines(model)) {
      const next = byName.get(ref);
      const begin = [...path, name].indexOf(ref);
      if (begin !== -1) {
        const cycle = [...path, name].slice(begin).concat(ref);
        problems.push({ file, line, text: cycleText(cycle, byName) });
      } else if (next !== undefined) visit(next, [...path, name]);
    }
    done.add(name);
    sorted.push(model);
  };
  for (const name of [...byName.keys()].toSorted()) visit(must(byName.get(name), 'its key'), []);
  return sorted;
}

function cycleText(cycle: readonly string[], byName: ReadonlyMap<string, Model>): string {
  const isOfSelects = cycle.every((name, index) => {
    const next = cycle[index + 1];
    return next === undefined || byName.get(name)?.refs.includes(next) === true;
  });
  const text = `models that need each other: ${cycle.join(' -> ')}`;
  return isOfSelects
    ? text
    : `${text}; a test may read only what comes before its model: put it into the later one`;
}
