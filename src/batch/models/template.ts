import { didYouMean } from '../../lib/suggestion.ts';
import { sqlLiteral, sqlTimestamp } from './literal.ts';
import type { RenderContext } from './model.ts';

/** SQL with its templates, in the order in which they stand. */
export type Template = readonly TemplatePart[];

type TemplatePart = Readonly<{ kind: 'text'; text: string }> | TemplateTag;

export type TemplateTag = Readonly<{
  /** From 1. */
  line: number;
  /** Lines that the tag goes over, beyond its first. */
  breaks: number;
}> &
  (
    | Readonly<{ kind: 'ref'; model: string }>
    /** `table` or `schema.table`. */
    | Readonly<{ kind: 'source'; source: string }>
    | Readonly<{ kind: 'var'; name: string; fallback?: string | number | boolean }>
    | Readonly<{ kind: 'run_started_at' }>
    | Readonly<{ kind: 'affected'; column: string }>
  );

export type ParsedTemplate = Readonly<{
  template: Template;
  problems: readonly Readonly<{ line: number; text: string }>[];
}>;

/**
 * Finds `{{ … }}` in SQL. In comments they are left as they stand; in quotes they are refused, as
 * what they become brings its own. `firstLine` is the line at which `sql` begins.
 */
export function parseTemplate(sql: string, firstLine = 1): ParsedTemplate {
  const parts: TemplatePart[] = [];
  const problems: { line: number; text: string }[] = [];
  let line = firstLine;
  let text = '';
  for (const [token] of sql.matchAll(TOKEN)) {
    const problem = problemOf(token);
    if (problem !== undefined) problems.push({ line, text: problem });
    if (token.startsWith('{{') && problem === undefined) {
      const parsed = parseTag(token);
      if (typeof parsed === 'string') problems.push({ line, text: parsed });
      else {
        if (text !== '') parts.push({ kind: 'text', text });
        text = '';
        parts.push({ ...parsed, line, breaks: breaksIn(token) });
      }
    } else text += token;
    line += breaksIn(token);
  }
  if (text !== '') parts.push({ kind: 'text', text });
  return { template: parts, problems };
}

/** Without semicolons at the end, which keep SQL from being a part of other SQL; lines stay as they are. */
export function withoutEnd(sql: string): string {
  let semicolons: number[] = [];
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token === ';') semicolons.push(index);
    else if (!/^(\s|--|\/\*)/.test(token)) semicolons = [];
  }
  const [first] = semicolons;
  return first === undefined ? sql : sql.slice(0, first) + sql.slice(first).replaceAll(';', ' ');
}

/** What SQL keeps apart, then a template, then anything. */
const TOKEN =
  /--[^\n]*|\/\*[^]*?\*\/|[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-zA-Z_]*)\$[^]*?\$\1\$|\{\{[^]*?\}\}|\{[{%#]|[\p{L}_][\p{L}\p{N}_]*|[^]/gu;

function problemOf(token: string): string | undefined {
  if (/^([eE]?'|"|\$)/.test(token) && token.includes('{{'))
    return `a template within quotes: ${token.trim()}. What it becomes is quoted by itself: write it bare`;
  if (token === '{{') return 'a template without its end: expected }}';
  if (token === '{%' || token === '{#')
    return `${token} is not known: templates are ${FORMS}; a comment is SQL's own`;
  return undefined;
}

type BareTag = TemplateTag extends infer T
  ? T extends unknown
    ? Omit<T, 'line' | 'breaks'>
    : never
  : never;
type Argument = string | number | boolean;

const FORMS =
  "{{ ref('model') }}, {{ source('table') }}, {{ var('name') }}, {{ run_started_at }} or {{ affected('column') }}";

/** The tag, or what is wrong with it. */
function parseTag(token: string): BareTag | string {
  const call = /^\s*([a-z_]\w*)\s*(?:\(([^]*)\)\s*)?$/i.exec(token.slice(2, -2));
  const shown = token.replaceAll(/\s+/g, ' ');
  if (call === null) return `${shown}: expected ${FORMS}`;
  const [, name = '', inner] = call;
  const form = TAGS.get(name);
  if (form === undefined) return `${shown}: ${unknown(name)}`;
  const given = inner === undefined ? undefined : parseArguments(inner);
  if (given === null) return `${shown}: expected ${form.expected}; text stands in quotes`;
  return form.read(given) ?? `${shown}: expected ${form.expected}`;
}

/** By the name: what is expected, and the tag when the arguments are right. */
const TAGS: ReadonlyMap<
  string,
  Readonly<{
    expected: string;
    read(given: readonly Argument[] | undefined): BareTag | undefined;
  }>
> = new Map([
  [
    'ref',
    {
      expected: "{{ ref('model') }}",
      read: (given) => {
        const [model] = given ?? [];
        return given?.length === 1 && isName(model) ? { kind: 'ref', model } : undefined;
      },
    },
  ],
  [
    'source',
    {
      expected: "{{ source('table') }} or {{ source('schema', 'table') }}",
      read: (given = []) =>
        given.length >= 1 && given.length <= 2 && given.every(isName)
          ? { kind: 'source', source: given.join('.') }
          : undefined,
    },
  ],
  [
    'var',
    {
      expected: "{{ var('name') }}, or with a default {{ var('name', 10) }}",
      read: (given = []) => {
        const [name, fallback] = given;
        if (given.length > 2 || !isName(name)) return undefined;
        return { kind: 'var', name, ...(fallback === undefined ? {} : { fallback }) };
      },
    },
  ],
  [
    'run_started_at',
    {
      expected: '{{ run_started_at }}',
      read: (given) => (given === undefined ? { kind: 'run_started_at' } : undefined),
    },
  ],
  [
    'affected',
    {
      expected: "{{ affected('column') }}, a column of the SELECT that it stands in",
      read: (given) => {
        const [column] = given ?? [];
        const isColumn = typeof column === 'string' && /^([a-z_]\w*\.)?[a-z_]\w*$/i.test(column);
        return given?.length === 1 && isColumn ? { kind: 'affected', column } : undefined;
      },
    },
  ],
]);

function isName(argument: Argument | undefined): argument is string {
  return typeof argument === 'string' && argument !== '';
}

/** Null when they are not text, numbers and booleans with commas between. */
function parseArguments(text: string): readonly Argument[] | null {
  if (text.trim() === '') return [];
  const found: Argument[] = [];
  let rest = text;
  for (;;) {
    const match = /^\s*(?:'([^'\n]*)'|"([^"\n]*)"|(-?\d+(?:\.\d+)?)|(true|false))\s*(,|$)/.exec(
      rest,
    );
    if (match === null) return null;
    const [whole, single, double, number, boolean, end] = match;
    if (number !== undefined) found.push(Number(number));
    else if (boolean !== undefined) found.push(boolean === 'true');
    else found.push(single ?? double ?? '');
    if (end === '') return found;
    rest = rest.slice(whole.length);
  }
}

/** What those who know dbt would write, and what is written here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  config: 'settings stand in the header, the comment with which the file begins',
  is_incremental:
    "an incremental model says {{ affected('column') }} where a row concerns what is made anew",
  this: "an incremental model says {{ affected('column') }} where a row concerns what is made anew",
  env_var: "values come by {{ var('name') }}, from `modelVariables` in pipeline.ts",
};

function unknown(name: string): string {
  const elsewhere = Object.hasOwn(ELSEWHERE, name) ? ELSEWHERE[name] : undefined;
  if (elsewhere !== undefined) return `${name} is not known: ${elsewhere}`;
  const near = didYouMean(name, TAGS.keys());
  return `${name} is not known${near === '' ? `; expected ${FORMS}` : near}`;
}

/** `ref('model')` or `source('table')`, as a header has them. */
export function parseReference(
  text: string,
): Readonly<{ ref: string }> | Readonly<{ source: string }> | undefined {
  const tag = parseTag(`{{${text}}}`);
  if (typeof tag === 'string') return undefined;
  if (tag.kind === 'ref') return { ref: tag.model };
  return tag.kind === 'source' ? { source: tag.source } : undefined;
}

function breaksIn(text: string): number {
  return text.split('\n').length - 1;
}

export function tagsOf(template: Template): readonly TemplateTag[] {
  return template.filter((part) => part.kind !== 'text');
}

/**
 * SQL with its templates filled in: values as literals, relations by their names, each where it stands,
 * so that line n stays line n. The templates are known to be right, as those of a loaded project are;
 * a variable has a value or a default.
 */
export function renderSql(sql: string, context: RenderContext): string {
  const { template, problems } = parseTemplate(sql);
  const [problem] = problems;
  if (problem !== undefined) throw new Error(`bug: not checked at load: ${problem.text}`);
  return renderTemplate(template, context);
}

function renderTemplate(template: Template, context: RenderContext): string {
  return template
    .map((part) =>
      part.kind === 'text' ? part.text : renderTag(part, context) + '\n'.repeat(part.breaks),
    )
    .join('');
}

function renderTag(tag: TemplateTag, context: RenderContext): string {
  switch (tag.kind) {
    case 'ref':
      return context.relationOf(tag.model);
    case 'source':
      return context.sourceRelationOf(tag.source);
    case 'var': {
      const value = valueOf(context.variables, tag.name) ?? tag.fallback;
      if (value === undefined) throw new Error(`bug: variable ${tag.name} not checked`);
      return sqlLiteral(value);
    }
    case 'run_started_at':
      return sqlTimestamp(context.runStartedAtMs);
    case 'affected':
      return context.affected(tag.column);
    default:
      return tag satisfies never;
  }
}

function valueOf<T>(values: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
