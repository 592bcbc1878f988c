import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import type { ConnectionFacts } from '../adapters/postgres/connection.ts';
import { MillraceError } from '../domain/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** All that the environment decides, checked. A part is given what concerns it, never the whole. */
export type Config = Readonly<{
  dataDir: string;
  source:
    | Readonly<{ kind: 'embedded'; database: string; user: string }>
    | Readonly<{ kind: 'server'; server: ConnectionFacts }>;
  retention: Readonly<{ ms: number; bytes: number }>;
  generator: Readonly<{ recordsPerBatch: number; intervalMs: number }>;
  stream: Readonly<{ bufferRecords: number }>;
  logLevel: LogLevel;
}>;

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

/**
 * Reads the environment into one object. Throws `config_invalid`, whose fact `problems` lists
 * every wrong variable with what was found and what is expected. An empty value counts as unset.
 */
export function readConfig(
  environment: Environment,
  overrides: Readonly<{ dataDir?: string }> = {},
): Config {
  const read = new VariableReader(environment);
  // Read even where it is overridden: a variable that nobody read counts as unknown.
  const dataDir = read.text('MILLRACE_DATA_DIR');
  const config: Config = {
    dataDir: resolve(overrides.dataDir ?? dataDir ?? '.millrace'),
    source: readSource(read),
    retention: {
      ms: read.number('MILLRACE_LOG_RETENTION_HOURS', 168, { min: 0.01, max: 876_000 }) * 3_600_000,
      bytes: read.integer('MILLRACE_LOG_RETENTION_BYTES', 2 * 1024 ** 3, { min: 1024 ** 2 }),
    },
    generator: {
      recordsPerBatch: read.integer('MOCK_DATA_RECORDS_PER_BATCH', 100, { min: 1, max: 1_000_000 }),
      intervalMs: read.number('MOCK_DATA_INTERVAL_SECONDS', 10, { min: 0.001, max: 86_400 }) * 1000,
    },
    stream: {
      bufferRecords: read.integer('STREAM_BUFFER_SIZE', 1000, { min: 2, max: 10_000_000 }),
    },
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
  };
  refuseServersOfLaterVersions(read);
  read.refuseUnknown('MILLRACE_');
  if (read.problems.length > 0)
    throw new MillraceError('config_invalid', { problems: read.problems });
  return config;
}

function readSource(read: VariableReader): Config['source'] {
  const host = read.text('POSTGRES_HOST');
  const port = read.integer('POSTGRES_PORT', 5432, { min: 1, max: 65_535 });
  const database = read.text('POSTGRES_DB') ?? 'source_db';
  const user = read.text('POSTGRES_USER') ?? 'postgres';
  const password = read.text('POSTGRES_PASSWORD') ?? '';
  const sslmode = read.oneOf('POSTGRES_SSLMODE', SSL_MODES, 'prefer');
  const sslrootcert = read.text('POSTGRES_SSL_CA');
  if (sslrootcert === undefined && sslmode.startsWith('verify'))
    read.problems.push(
      `POSTGRES_SSL_CA: not set, expected the file of the certificate authority, as POSTGRES_SSLMODE is ${sslmode}`,
    );
  if (sslrootcert !== undefined && !existsSync(sslrootcert))
    read.problems.push(`POSTGRES_SSL_CA: found "${sslrootcert}", expected a file that exists`);
  if (host === undefined) return { kind: 'embedded', database, user };
  const server = { host, port, database, user, password, sslmode };
  return {
    kind: 'server',
    server: sslrootcert === undefined ? server : { ...server, sslrootcert },
  };
}

/** Silence here would leave a user believing that their data is in Kafka. */
function refuseServersOfLaterVersions(read: VariableReader): void {
  for (const [name, what] of [
    ['KAFKA_BROKER', 'the event log is the embedded one'],
    ['REDIS_HOST', 'the store is the embedded one'],
  ] as const) {
    const found = read.text(name);
    if (found !== undefined)
      read.problems.push(`${name}: found "${found}", expected unset: in this version ${what}`);
  }
}

/** Takes variables from an environment, and keeps account of what is wrong with them. */
class VariableReader {
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

  oneOf<const Value extends string>(
    name: string,
    values: readonly Value[],
    fallback: Value,
  ): Value {
    const found = this.text(name);
    if (found === undefined) return fallback;
    const value = values.find((each) => each === found.toLowerCase());
    if (value === undefined) this.#refuse(name, found, `one of ${values.join(', ')}`);
    return value ?? fallback;
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
    this.#refuse(name, found, `${what} ${bounds}`);
    return fallback;
  }

  #refuse(name: string, found: string, expected: string): void {
    this.problems.push(`${name}: found "${found}", expected ${expected}`);
  }
}
