import { EMPTY_HEADER, readHeader } from './model-header.ts';
import type { Model, ModelHeader, ModelTest } from './model.ts';
import type { Problem } from './problem.ts';
import { parseTemplate, type Template, type TemplateTag, tagsOf, withoutEnd } from './template.ts';
import { YamlValue } from './yaml-value.ts';

/**
 * Reads one file: a header of YAML in the block comment with which it begins, if there is one, then a
 * SELECT. What is wrong goes to `problems`, with its line; the model is then what is left of it.
 */
export function parseModelFile(
  text: string,
  { name, file }: Readonly<{ name: string; file: string }>,
  problems: Problem[],
): Model {
  const { yaml, line, ...body } = splitFile(text);
  const sql = withoutEnd(body.sql);
  const header = yaml === undefined ? EMPTY_HEADER : readYaml(name, yaml, file, problems);
  const parsed = parseTemplate(sql, line);
  for (const problem of parsed.problems) problems.push({ file, ...problem });
  if (sql.replaceAll(COMMENTS, '').trim() === '')
    problems.push({ file, line, text: 'expected a SELECT, found nothing' });
  const tested = readTests(header, file, problems);
  const model = {
    name,
    file,
    header,
    sql,
    line,
    ...namesIn(parsed.template),
    testRefs: tested.refs.filter((ref) => ref !== name),
    testSources: tested.sources,
  };
  checkIncremental(model, parsed.template, problems);
  return model;
}

const COMMENTS = /--[^\n]*|\/\*[^]*?\*\//g;

/** The header may stand below lines of comments, such as a licence. */
const HEADER = /^\uFEFF?(?:[^\S\n]*(?:--[^\n]*)?\n)*[^\S\n]*\/\*/;

function splitFile(text: string): Readonly<{
  yaml?: Readonly<{ text: string; line: number }>;
  sql: string;
  line: number;
}> {
  const [opening] = HEADER.exec(text) ?? [];
  const end = opening === undefined ? -1 : text.indexOf('*/', opening.length);
  if (opening === undefined || end === -1) return { sql: text.replace(/^\uFEFF/, ''), line: 1 };
  const yaml = { text: text.slice(opening.length, end), line: lineAt(text, opening.length) };
  return { yaml, sql: text.slice(end + 2), line: lineAt(text, end) };
}

function readYaml(
  name: string,
  { text, line }: Readonly<{ text: string; line: number }>,
  file: string,
  problems: Problem[],
): ModelHeader {
  const value = YamlValue.parse(text, { file, firstLine: line, problems });
  if (value === undefined) return EMPTY_HEADER;
  if (value.isMap()) return readHeader(name, value);
  value.problem(
    'the comment with which a file begins is its header, in YAML; others begin with --',
  );
  return EMPTY_HEADER;
}

function namesIn(template: Template): Pick<Model, 'refs' | 'sources'> {
  const tags = tagsOf(template);
  const refs = tags.flatMap((tag) => (tag.kind === 'ref' ? [tag.model] : []));
  const sources = tags.flatMap((tag) => (tag.kind === 'source' ? [tag.source] : []));
  return { refs: [...new Set(refs)], sources: [...new Set(sources)] };
}

/** What can be told of an incremental model without knowing its sources. */
function checkIncremental(
  { file, header, refs, sources }: Model,
  template: Template,
  problems: Problem[],
): void {
  const { incremental } = header;
  const affected = tagsOf(template).find(({ kind }) => kind === 'affected');
  if (!header.materialization.startsWith('incremental')) {
    if (affected !== undefined)
      problems.push({
        file,
        line: affected.line,
        text: `{{ affected(…) }} has no meaning in a ${header.materialization}`,
      });
    return;
  }
  if (incremental === undefined) return;
  const { line, affectedBy } = incremental;
  if (affected === undefined)
    problems.push({
      file,
      line,
      text: "expected {{ affected('column') }} in the SELECT: without it every run makes all rows",
    });
  for (const model of refs)
    problems.push({
      file,
      line: lineOf(template, (tag) => tag.kind === 'ref' && tag.model === model),
      text: `an incremental model reads sources alone, as it must know which of their rows changed: ref('${model}') is none`,
    });
  for (const source of sources)
    if (!Object.keys(affectedBy).some((named) => isSameSource(named, source)))
      problems.push({
        file,
        line,
        text: `affected_by: ${source} is read, and not named with the column that says which rows its changes concern`,
      });
  for (const source of Object.keys(affectedBy))
    if (!sources.some((read) => isSameSource(read, source)))
      problems.push({ file, line, text: `affected_by: ${source} is not read by the SELECT` });
}

/** Schema `public` may be left out. */
function isSameSource(a: string, b: string): boolean {
  return a.replace(/^public\./, '') === b.replace(/^public\./, '');
}

/** Which models and sources the tests name. */
function readTests(
  { tests }: ModelHeader,
  file: string,
  problems: Problem[],
): Readonly<{ refs: readonly string[]; sources: readonly string[] }> {
  const refs = new Set<string>();
  const sources = new Set<string>();
  for (const test of tests) {
    if (test.kind === 'relationships') {
      if ('ref' in test.to) refs.add(test.to.ref);
      else sources.add(test.to.source);
    }
    const parsed = parseTemplate(templateOf(test), test.line);
    for (const problem of parsed.problems) problems.push({ file, ...problem });
    for (const tag of tagsOf(parsed.template)) {
      const text = misplaced(tag, test.kind);
      if (text !== undefined) problems.push({ file, line: tag.line, text });
    }
    const named = namesIn(parsed.template);
    for (const ref of named.refs) refs.add(ref);
    for (const source of named.sources) sources.add(source);
  }
  return { refs: [...refs], sources: [...sources] };
}

function misplaced({ kind }: TemplateTag, test: ModelTest['kind']): string | undefined {
  if (kind === 'affected') return '{{ affected(…) }} has no meaning in a test';
  if (test === 'expression' && (kind === 'ref' || kind === 'source'))
    return "an expression is of the model's own columns: what reads others is a test of `sql`";
  return undefined;
}

function templateOf(test: ModelTest): string {
  if (test.kind === 'sql') return test.sql;
  return test.kind === 'expression' ? test.expression : '';
}

function lineOf(template: Template, matches: (tag: TemplateTag) => boolean) {
  return tagsOf(template).find((tag) => matches(tag))?.line ?? 1;
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
