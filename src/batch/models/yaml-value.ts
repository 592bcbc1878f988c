import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from 'yaml';
import { didYouMean } from '../../lib/suggestion.ts';
import type { Problem } from './problem.ts';

/** Where YAML stands, and where what is wrong with it goes. */
type Place = Readonly<{
  file: string;
  problems: Problem[];
  document: Document;
  lineOf(node: Node): number;
}>;

/**
 * A value of a YAML document that is read by asking for what is expected. Whatever is not so becomes
 * a problem with its line, and is undefined.
 */
export class YamlValue {
  readonly #node: Node | null;
  /** The key it stands under, for messages. */
  readonly #name: string;
  readonly #place: Place;
  readonly line: number;

  private constructor(node: Node | null, name: string, line: number, place: Place) {
    this.#node = isAlias(node) ? (node.resolve(place.document) ?? null) : node;
    this.#name = name;
    this.#place = place;
    this.line = line;
  }

  /** The document; undefined when it is empty or no YAML. `firstLine` is the file's at which `text` begins. */
  static parse(
    text: string,
    {
      file,
      firstLine,
      problems,
    }: Readonly<{ file: string; firstLine: number; problems: Problem[] }>,
  ): YamlValue | undefined {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
    const lineAt = (offset: number) => firstLine - 1 + lines.linePos(offset).line;
    for (const { message, pos } of [...document.errors, ...document.warnings])
      problems.push({ file, line: lineAt(pos[0]), text: message });
    const { contents } = document;
    if (document.errors.length > 0 || contents === null) return undefined;
    const lineOf = (node: Node) => lineAt(node.range?.[0] ?? 0);
    return new YamlValue(contents, '', lineOf(contents), {
      file,
      problems,
      document,
      lineOf,
    });
  }

  problem(text: string, line = this.line): undefined {
    const named = this.#name === '' ? text : `${this.#name}: ${text}`;
    this.#place.problems.push({ file: this.#place.file, line, text: named });
    return undefined;
  }

  isMap(): boolean {
    return isMap(this.#node);
  }

  isText(): boolean {
    return isScalar(this.#node) && typeof this.#node.value === 'string';
  }

  /** By key. Others than the `known` ones are problems; all are taken without `known`. */
  entries(known?: readonly string[]): ReadonlyMap<string, YamlValue> {
    if (!isMap(this.#node)) {
      this.#expected('keys with values');
      return new Map();
    }
    const found = new Map<string, YamlValue>();
    for (const { key, value } of this.#node.items) {
      const name = isScalar(key) ? String(key.value) : String(key);
      const line = this.#place.lineOf(key as Node);
      if (known !== undefined && !known.includes(name)) {
        const near = didYouMean(name, known);
        this.problem(
          `${name} is not known${near === '' ? `; expected ${known.join(', ')}` : near}`,
          line,
        );
      } else found.set(name, new YamlValue(value as Node | null, name, line, this.#place));
    }
    return found;
  }

  list(): readonly YamlValue[] {
    if (!isSeq(this.#node)) {
      this.#expected('a list');
      return [];
    }
    return this.#node.items.map(
      (item) =>
        new YamlValue(item as Node, this.#name, this.#place.lineOf(item as Node), this.#place),
    );
  }

  texts(): readonly string[] {
    return this.list().flatMap((item) => item.text() ?? []);
  }

  text(): string | undefined {
    const value = this.#scalar();
    return typeof value === 'string' && value.trim() !== '' ? value : this.#expected('text');
  }

  /** Text, and the line at which it begins: after `key: |` that is the next one. */
  block(): Readonly<{ text: string; line: number }> | undefined {
    const text = this.text();
    if (text === undefined || !isScalar(this.#node)) return undefined;
    const isBlock = this.#node.type === 'BLOCK_LITERAL' || this.#node.type === 'BLOCK_FOLDED';
    return { text, line: this.#place.lineOf(this.#node) + (isBlock ? 1 : 0) };
  }

  oneOf<T extends string>(values: readonly T[]): T | undefined {
    const value = this.#scalar();
    const found = values.find((each) => each === value);
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? didYouMean(value, values) : '';
    return this.#expected(values.join(' or '), near);
  }

  wholeNumber(): number | undefined {
    const value = this.#scalar();
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    return this.#expected('a whole number from 0');
  }

  textOrNumber(): string | number | undefined {
    const value = this.#scalar();
    if (typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value)))
      return value;
    return this.#expected('text or a number');
  }

  /** `90s`, `15m`, `2h` or `7d`, in seconds. */
  duration(): number | undefined {
    const value = this.#scalar();
    const [, amount, unit] = /^([1-9]\d{0,8})([smhd])$/.exec(String(value)) ?? [];
    if (amount === undefined || unit === undefined)
      return this.#expected('a duration such as 90s, 15m, 2h or 7d');
    return Number(amount) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit as 's' | 'm' | 'h' | 'd'];
  }

  /** As JavaScript has it. */
  value(): unknown {
    return this.#node === null ? null : this.#node.toJS(this.#place.document);
  }

  #scalar(): unknown {
    return isScalar(this.#node) ? this.#node.value : undefined;
  }

  #expected(what: string, more = ''): undefined {
    return this.problem(`expected ${what}, found ${this.#shown()}${more}`);
  }

  #shown(): string {
    if (isMap(this.#node)) return 'keys with values';
    if (isSeq(this.#node)) return 'a list';
    const value = this.#scalar();
    if (value === undefined || value === null || value === '') return 'nothing';
    return typeof value === 'string' ? value : JSON.stringify(value);
  }
}
