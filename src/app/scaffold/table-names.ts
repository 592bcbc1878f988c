import { must } from '../../lib/must.ts';

/** What a table is called in TypeScript. */
export type TableNames = Readonly<{
  /** Of the value that stands for the table, such as `orderItems`. */
  value: string;
  /** Of a row's type, such as `OrderItem`. */
  row: string;
  /** Of a key's type, such as `OrderItemKey`. */
  key: string;
}>;

/** Names that the generated file, or the language, has already. */
const TAKEN = `
  Readonly Record defineTable
  any arguments await break case catch class const continue debugger default delete do else enum eval
  export extends false finally for function globalThis if implements import in instanceof interface
  let new null package private protected public return static super switch this throw true try typeof
  undefined var void while with yield
`.match(/\w+/g);

/**
 * Names for tables, no two the same. Where tables would share one, the first of them has it: those of
 * `public` come before others, then by name; the others take their schema's name before it.
 */
export function namesOf(
  tables: readonly Readonly<{ schema: string; name: string }>[],
): (schema: string, name: string) => TableNames {
  const taken = new Set(TAKEN);
  const names = new Map<string, TableNames>();
  const inOrder = tables.toSorted(
    (a, b) =>
      Number(b.schema === 'public') - Number(a.schema === 'public') ||
      compare(a.schema, b.schema) ||
      compare(a.name, b.name),
  );
  for (const { schema, name } of inOrder) {
    const free = must(
      candidates(schema, name).find((each) => Object.values(each).every((one) => !taken.has(one))),
      'there is always another number',
    );
    for (const each of Object.values(free)) taken.add(each);
    names.set(`${schema}\0${name}`, free);
  }
  return (schema, name) => must(names.get(`${schema}\0${name}`), 'it is one of the tables');
}

function candidates(schema: string, name: string): IteratorObject<TableNames> {
  const plain = wordsOf(name);
  const qualified = wordsOf(`${schema} ${name}`);
  const first = [plain, qualified].flatMap((words) => [
    namesFrom(words, (last) => singular(last)),
    namesFrom(words, (last) => last),
  ]);
  return chain(first, (number) => namesFrom([...qualified, String(number)], (last) => last));
}

function* chain<T>(first: readonly T[], next: (number: number) => T): Generator<T> {
  yield* first;
  for (let number = 2; ; number += 1) yield next(number);
}

function namesFrom(words: readonly string[], toOne: (last: string) => string): TableNames {
  const pascal = (of: readonly string[]) => of.map((word) => capitalized(word)).join('');
  const value = pascal(words);
  const row = pascal([...words.slice(0, -1), toOne(words.at(-1) ?? '')]);
  return { value: value[0]?.toLowerCase() + value.slice(1), row, key: `${row}Key` };
}

/** By underscores, other signs, and humps; never empty, and never begun by a digit. */
function wordsOf(name: string): string[] {
  const words =
    name
      .replaceAll(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
      .match(/[\p{L}\p{N}]+/gu)
      ?.map((word) => word.toLowerCase()) ?? [];
  return words.length === 0 || /^\p{N}/u.test(words[0] ?? '') ? ['table', ...words] : words;
}

function capitalized(word: string): string {
  const [first = '', ...rest] = word;
  return `${first.toUpperCase()}${rest.join('')}`;
}

const IRREGULAR: Readonly<Record<string, string>> = {
  people: 'person',
  children: 'child',
  movies: 'movie',
  cookies: 'cookie',
  series: 'series',
  species: 'species',
  news: 'news',
  caches: 'cache',
  statuses: 'status',
  buses: 'bus',
  bonuses: 'bonus',
  campuses: 'campus',
  aliases: 'alias',
  indices: 'index',
};

/** One of what a table is named for, as far as a few rules of English go; a word they miss stays. */
function singular(word: string): string {
  const irregular = IRREGULAR[word];
  if (irregular !== undefined) return irregular;
  if (/[^aeiou]ies$/.test(word)) return word.replace(/ies$/, 'y');
  if (/(ss|x|z|ch|sh)es$/.test(word)) return word.replace(/es$/, '');
  return /(ss|us|is|os|as)$/.test(word) ? word : word.replace(/s$/, '');
}

function compare(a: string, b: string): number {
  return Number(a > b) - Number(a < b);
}
