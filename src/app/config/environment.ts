import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { isDecimal } from '../../domain/decimal.ts';
import { MillraceError } from '../../domain/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The process's environment over the `.env` file of the folder it was started in. Nothing below
 * app/ sees `process.env`.
 */
export function readEnvironment(cwd: string, own: Environment): Environment {
  try {
    return { ...parseEnv(readFileSync(join(cwd, '.env'), 'utf8')), ...own };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return own;
    throw new MillraceError('config_invalid', { problems: [`.env: ${String(error)}`] }, error);
  }
}

/** Takes variables from an environment, and keeps account of what is wrong with them. */
export class VariableReader {
  readonly problems: string[] = [];
  readonly #environment: Environment;
  readonly #known = new Set<string>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  text(name: string): string | undefined {
    this.#known.add(name);
    const value = this.#environment[name]?.trim();
    return value === '' ? undefined : value;
  }

  number(name: string, fallback: number, { min = 0, max = Infinity } = {}): number {
    return this.#numeric(name, fallback, 'a number', { min, max }, Number.isFinite);
  }

  integer(name: string, fallback: number, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}): number {
    return this.#numeric(name, fallback, 'a whole number', { min, max }, Number.isSafeInteger);
  }

  /** Exact: as it is written. */
  decimal(name: string, fallback: string): string {
    const found = this.text(name);
    if (found === undefined) return fallback;
    if (!isDecimal(found)) this.refuse(name, found, 'a decimal number such as 12.50');
    return found;
  }

  oneOf<const Value extends string>(
    name: string,
    values: readonly Value[],
    fallback: Value,
  ): Value {
    const found = this.text(name);
    if (found === undefined) return fallback;
    const value = values.find((each) => each.toLowerCase() === found.toLowerCase());
    if (value === undefined) this.refuse(name, found, `one of ${values.join(', ')}`);
    return value ?? fallback;
  }

  /** The name of a file that is there. */
  file(name: string): string | undefined {
    const found = this.text(name);
    if (found !== undefined && !existsSync(found)) this.refuse(name, found, 'a file that exists');
    return found;
  }

  refuseUnknown(prefix: string): void {
    const known = [...this.#known].filter((name) => name.startsWith(prefix)).toSorted();
    for (const name of Object.keys(this.#environment).toSorted()) {
      if (name.startsWith(prefix) && !this.#known.has(name))
        this.problems.push(`${name}: no such variable, expected one of ${known.join(', ')}`);
    }
  }

  #numeric(
    name: string,
    fallback: number,
    what: string,
    { min, max }: { min: number; max: number },
    isFit: (value: number) => boolean,
  ): number {
    const found = this.text(name);
    if (found === undefined) return fallback;
    const value = Number(found);
    if (isFit(value) && value >= min && value <= max) return value;
    const bounds = max < Number.MAX_SAFE_INTEGER ? `from ${min} to ${max}` : `of at least ${min}`;
    this.refuse(name, found, `${what} ${bounds}`);
    return fallback;
  }

  refuse(name: string, found: string, expected: string): void {
    this.problems.push(`${name}: found "${found}", expected ${expected}`);
  }
}
