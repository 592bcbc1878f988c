import { must } from '../../lib/must.ts';
import { type ModelTest } from './model.ts';
import { parseReference, withoutEnd } from './template.ts';
import type { YamlValue } from './yaml-value.ts';

/** A test without its name, which others of the model may have a say in. */
type Draft = ModelTest extends infer T
  ? T extends ModelTest
    ? Omit<T, 'name'> & Readonly<{ name?: string; suffix: string }>
    : never
  : never;
type Kind = ModelTest['kind'];
type Common = Pick<ModelTest, 'severity' | 'line'> & Readonly<{ name?: string }>;

const COLUMN_KINDS = [
  'unique',
  'not_null',
  'accepted_values',
  'relationships',
  'freshness',
] as const;
const MODEL_KINDS = ['unique', 'expression', 'row_count', 'freshness', 'sql'] as const;

/** The tests of a column: `[unique, { accepted_values: [a, b], severity: warn }]`. */
export function readColumnTests(column: string, value: YamlValue): readonly Draft[] {
  return value.list().flatMap((item) => {
    const read = readKind(item, COLUMN_KINDS);
    if (read === undefined) return [];
    const { kind, argument, common } = read;
    return columnTest(column, kind, argument, common) ?? [];
  });
}

function columnTest(
  column: string,
  kind: (typeof COLUMN_KINDS)[number],
  argument: YamlValue | undefined,
  common: Common,
): Draft | undefined {
  const suffix = column;
  if (kind === 'unique') return { ...common, kind, columns: [column], suffix };
  if (kind === 'not_null') return { ...common, kind, column, suffix };
  const given = must(argument, 'only unique and not_null stand without an argument');
  if (kind === 'accepted_values') {
    const values = given.list().flatMap((item) => item.textOrNumber() ?? []);
    if (values.length === 0) return given.problem('expected at least one value');
    return { ...common, kind, column, values, suffix };
  }
  if (kind === 'freshness') return freshness(column, given, common);
  const entries = given.entries(['to', 'field']);
  const [to, field] = [entries.get('to'), entries.get('field')];
  if (to === undefined || field === undefined)
    return given.problem("expected { to: ref('model'), field: column }");
  const text = to.text();
  if (text === undefined) return undefined;
  const reference = parseReference(text);
  if (reference === undefined)
    return to.problem(`expected ref('model') or source('table'), found ${text}`);
  const fieldName = field.text();
  if (fieldName === undefined) return undefined;
  return { ...common, kind, column, to: reference, field: fieldName, suffix };
}

/** The tests of a model: `[{ unique: [a, b] }, { row_count: { min: 1 } }, { expression: a >= 0 }]`. */
export function readModelTests(value: YamlValue): readonly Draft[] {
  return value.list().flatMap((item) => {
    const read = readKind(item, MODEL_KINDS);
    if (read === undefined) return [];
    return modelTest(read.kind, must(read.argument, 'all have one'), read.common) ?? [];
  });
}

function modelTest(
  kind: (typeof MODEL_KINDS)[number],
  given: YamlValue,
  common: Common,
): Draft | undefined {
  switch (kind) {
    case 'unique': {
      const columns = given.texts();
      if (columns.length === 0) return undefined;
      return { ...common, kind, columns, suffix: columns.join('_') };
    }
    case 'expression': {
      const expression = given.text();
      return expression === undefined
        ? undefined
        : { ...common, kind, expression, suffix: expression };
    }
    case 'row_count': {
      const entries = given.entries(['min', 'max']);
      const [min, max] = [entries.get('min')?.wholeNumber(), entries.get('max')?.wholeNumber()];
      if (entries.size === 0) return given.problem('expected { min: 1 }, { max: 10 } or both');
      if (min !== undefined && max !== undefined && min > max)
        return given.problem(`expected min up to max, found min ${min} and max ${max}`);
      const bounds = {
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
      };
      return { ...common, kind, ...bounds, suffix: '' };
    }
    case 'freshness': {
      const entries = given.entries(['column', 'max_age']);
      const [column, age] = [entries.get('column')?.text(), entries.get('max_age')];
      if (column === undefined || age === undefined)
        return given.problem('expected { column: name, max_age: 2h }');
      return freshness(column, age, common);
    }
    case 'sql': {
      const block = given.block();
      if (block === undefined) return undefined;
      return { ...common, kind, sql: withoutEnd(block.text), line: block.line, suffix: '' };
    }
    default:
      return kind satisfies never;
  }
}

function freshness(column: string, age: YamlValue, common: Common): Draft | undefined {
  const maxAgeSeconds = age.duration();
  return maxAgeSeconds === undefined
    ? undefined
    : { ...common, kind: 'freshness', column, maxAgeSeconds, suffix: column };
}

/** Of `unique`, or of `{ unique: [a], severity: warn, name: one_a }`. */
function readKind<K extends Kind>(
  item: YamlValue,
  kinds: readonly K[],
): Readonly<{ kind: K; argument: YamlValue | undefined; common: Common }> | undefined {
  if (!item.isMap()) {
    const bare = kinds.filter((kind) => kind === 'not_null' || kind === 'unique');
    if (kinds.some((kind) => kind === 'not_null')) {
      const text = item.isText() ? item.value() : undefined;
      if (kinds.some((kind) => kind === text) && !bare.some((kind) => kind === text))
        return item.problem(`${String(text)} needs more: { ${String(text)}: … }`);
      const kind = item.oneOf(kinds);
      const common = { severity: 'error', line: item.line } as const;
      return kind === undefined ? undefined : { kind, argument: undefined, common };
    }
  }
  const entries = item.entries([...kinds, 'severity', 'name']);
  const found = kinds.flatMap((kind) => {
    const argument = entries.get(kind);
    return argument === undefined ? [] : [{ kind, argument }];
  });
  const [first] = found;
  if (first === undefined || found.length > 1) {
    // What was misspelt has been told.
    if (entries.size > 0 || !item.isMap())
      item.problem(`expected one of ${kinds.join(', ')} in each item of the list`);
    return undefined;
  }
  const name = entries.get('name')?.text();
  if (name !== undefined && !/^[a-z][a-z0-9_]*$/.test(name))
    entries.get('name')?.problem(`expected lower-case letters, digits and _, found ${name}`);
  const common = {
    severity: entries.get('severity')?.oneOf(['warn', 'error']) ?? 'error',
    line: item.line,
    ...(name === undefined ? {} : { name }),
  } as const;
  return { ...first, common };
}

/** Names tests for what they say; of several that are alike, the later ones get a number. */
export function nameTests(
  model: string,
  drafts: readonly Draft[],
  onDuplicate: (line: number, text: string) => void,
): readonly ModelTest[] {
  const taken = new Map<string, number>();
  return drafts.flatMap((draft) => {
    const { suffix, name: given, ...test } = draft;
    const base = given ?? [test.kind, model, slug(suffix)].filter((part) => part !== '').join('_');
    const earlier = taken.get(base);
    if (earlier !== undefined && (given !== undefined || !NUMBERED.has(test.kind))) {
      onDuplicate(test.line, `the test ${base} stands in line ${earlier} already`);
      return [];
    }
    let name = base;
    for (let count = 2; taken.has(name); count += 1) name = `${base}_${count}`;
    taken.set(name, test.line);
    return [{ ...test, name } as ModelTest];
  });
}

const NUMBERED: ReadonlySet<Kind> = new Set(['sql', 'expression', 'relationships']);

function slug(text: string): string {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return words.join('_').slice(0, 40).replace(/_$/, '');
}
