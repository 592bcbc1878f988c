import { MillraceError } from '../../domain/errors.ts';
import { globMatcher, isGlob } from '../../lib/glob.ts';
import { didYouMean } from '../../lib/suggestion.ts';
import type { Model } from './model.ts';
import { downstream, type ModelProject, upstream } from './project.ts';

/**
 * Chooses models as dbt does: `name`, `tag:daily`, `path:models/marts`, `source:orders`; with a + before,
 * also all that they read; with one after, also all that reads them. Several are united; with commas
 * between, all must hold. Nothing chosen: all models, less those excluded. In the project's order.
 * Throws `usage` for what chooses nothing.
 */
export function selectModels(
  project: ModelProject,
  selected: readonly string[],
  excluded: readonly string[] = [],
): readonly Model[] {
  const { models } = project;
  const chosen =
    selected.length === 0 ? new Set(models.map(({ name }) => name)) : union(models, selected);
  const without = union(models, excluded);
  return models.filter(({ name }) => chosen.has(name) && !without.has(name));
}

function union(models: readonly Model[], selection: readonly string[]): ReadonlySet<string> {
  const words = selection.flatMap((each) => each.trim().split(/\s+/)).filter((each) => each !== '');
  return new Set(words.flatMap((word) => [...intersection(models, word)]));
}

function intersection(models: readonly Model[], word: string): ReadonlySet<string> {
  const terms = word.split(',').map((term) => choose(models, term));
  return new Set(models.map(nameOf).filter((name) => terms.every((term) => term.has(name))));
}

function choose(models: readonly Model[], term: string): ReadonlySet<string> {
  const [, before, method, value = '', after] =
    /^(\+?)(?:([a-z]+):)?([^+]*)(\+?)$/.exec(term) ?? [];
  if (method === 'source') return ofSource(models, value, before === '+', after === '+');
  const named = matching(models, method, value);
  if (named.length === 0) throw nothingChosen(models, term, method, value);
  return new Set([
    ...named,
    ...(before === '+' ? upstream(models, named) : []),
    ...(after === '+' ? downstream(models, named) : []),
  ]);
}

function matching(models: readonly Model[], method: string | undefined, value: string): string[] {
  const isNamed = isGlob(value) ? globMatcher(value) : (text: string) => text === value;
  const by = method ?? 'name';
  const matches = Object.hasOwn(MATCHES, by) ? MATCHES[by] : undefined;
  return models.filter((model) => matches?.(model, value, isNamed)).map(nameOf);
}

/** By the method: whether a model is meant by the value, which may be a pattern. */
const MATCHES: Readonly<
  Record<string, (model: Model, value: string, isNamed: (text: string) => boolean) => boolean>
> = {
  name: (model, _, isNamed) => isNamed(model.name),
  tag: (model, _, isNamed) => model.header.tags.some(isNamed),
  path: ({ file }, value, isNamed) => {
    const path = value.replace(/^\.\//, '').replace(/\/$/, '');
    return isNamed(file) || file === path || file.startsWith(`${path}/`);
  },
};

/** A source is no model itself: it stands for those that read it. */
function ofSource(
  models: readonly Model[],
  value: string,
  isBefore: boolean,
  isAfter: boolean,
): ReadonlySet<string> {
  const reading = models
    .filter(({ sources }) => sources.some((source) => isSource(source, value)))
    .map(nameOf);
  if (isBefore || !isAfter)
    throw new MillraceError('usage', {
      expected: `source:${value}+, the models that read ${value}, and those that read them`,
      found: `source:${value}`,
    });
  if (reading.length === 0) {
    const known = [...new Set(models.flatMap(({ sources }) => sources))].toSorted();
    throw new MillraceError('usage', {
      expected: `a source that a model reads: ${known.join(', ')}`,
      found: `${value}${didYouMean(value, known)}`,
    });
  }
  return new Set([...reading, ...downstream(models, reading)]);
}

function isSource(source: string, value: string): boolean {
  return source === value || `public.${source}` === value || source === `public.${value}`;
}

function nothingChosen(
  models: readonly Model[],
  term: string,
  method: string | undefined,
  value: string,
): MillraceError {
  if (method !== undefined && !Object.hasOwn(MATCHES, method))
    return new MillraceError('usage', {
      expected: 'name, +name, name+, tag:name, path:models/folder or source:table+',
      found: term,
    });
  const what = method === 'tag' ? 'tags' : method === 'path' ? 'files of models' : 'models';
  const known =
    method === 'tag'
      ? models.flatMap(({ header }) => header.tags)
      : models.map(method === 'path' ? ({ file }) => file : nameOf);
  return new MillraceError('usage', {
    expected: `${what} that there are: ${[...new Set(known)].toSorted().join(', ') || 'none'}`,
    found: `${term}${didYouMean(value, known)}`,
  });
}

function nameOf({ name }: Model): string {
  return name;
}
