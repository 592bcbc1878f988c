import { resolve } from 'node:path';
import type { KafkaAddress } from '../../adapters/kafka/address.ts';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import type { RedisAddress } from '../../adapters/redis/client.ts';
import { MillraceError } from '../../domain/errors.ts';
import { placesIn } from './data-directory.ts';
import { type Environment, VariableReader } from './environment.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

const WAREHOUSES = ['duckdb', 'spark'] as const;
const DAY_MS = 86_400_000;
/** With less, the engine can't take in changes. */
const LEAST_MEMORY = 128e6;

const PLACEHOLDERS = ['worker', 'filled'] as const;

/** Debezium, by Kafka Connect's REST API at this address. */
export type DebeziumEngine = Readonly<{
  kind: 'debezium';
  url: string;
  /**
   * Who fills in what connector.json takes from the environment: the worker of Connect, from its
   * own, so that Connect stores no password; or we do.
   */
  placeholders: (typeof PLACEHOLDERS)[number];
}>;

/** All that the environment decides, checked. A part is given what concerns it, never the whole. */
export type Config = Readonly<{
  dataDir: string;
  source:
    | Readonly<{ kind: 'embedded'; database: string; user: string }>
    | Readonly<{ kind: 'server'; server: ConnectionFacts }>;
  log: Readonly<{ kind: 'embedded' }> | (Readonly<{ kind: 'kafka' }> & KafkaAddress);
  store: Readonly<{ kind: 'embedded' }> | (Readonly<{ kind: 'redis' }> & RedisAddress);
  connector: Readonly<{ kind: 'native' }> | DebeziumEngine;
  retention: Readonly<{ ms: number; bytes: number }>;
  generator: Readonly<{ recordsPerBatch: number; intervalMs: number }>;
  stream: Readonly<{ bufferRecords: number; threads: number }>;
  lake: Readonly<{
    dir: string;
    /** Named, and so one that other processes may share. */
    isNamed: boolean;
    flushMs: number;
    retentionMs: number;
  }>;
  batch: Readonly<{
    /** Between the starts of two runs of all models; 0: none by itself. */
    intervalMs: number;
    /** Of the embedded SQL engine, in its own words: `512MB`. What does not fit is spilled to disk. */
    memory: string;
    warehouse:
      | Readonly<{ kind: 'duckdb' }>
      /** `submit`: the program; `master`: as Spark names it. */
      | Readonly<{ kind: 'spark'; submit: string; master: string }>;
    /** Where OpenLineage events are posted. */
    openLineageUrl?: string;
  }>;
  logLevel: LogLevel;
}>;

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
  const source = readSource(read);
  const config: Config = {
    dataDir: resolve(overrides.dataDir ?? dataDir ?? '.millrace'),
    source,
    log: readLog(read),
    store: readStore(read),
    connector: readConnectorEngine(read, source),
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
      threads: read.integer('MILLRACE_STREAM_THREADS', 1, { min: 1, max: 64 }),
    },
    lake: readLake(read, resolve(overrides.dataDir ?? dataDir ?? '.millrace')),
    batch: readBatch(read),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
  };
  if (config.connector.kind === 'debezium' && config.log.kind === 'embedded')
    read.problems.push(
      'KAFKA_BROKER: not set, expected the brokers that MILLRACE_CONNECT_URL captures into',
    );
  read.refuseUnknown('MILLRACE_');
  if (read.problems.length > 0)
    throw new MillraceError('config_invalid', { problems: read.problems });
  return config;
}

function readLake(read: VariableReader, dataDir: string): Config['lake'] {
  const named = read.text('MILLRACE_LAKE');
  return {
    dir: named === undefined ? placesIn(dataDir).lake : resolve(named),
    isNamed: named !== undefined,
    flushMs: read.number('MILLRACE_LAKE_FLUSH_SECONDS', 10, { min: 0.1, max: 86_400 }) * 1000,
    retentionMs: read.number('MILLRACE_LAKE_RETENTION_DAYS', 30, { min: 0, max: 36_500 }) * DAY_MS,
  };
}

function readBatch(read: VariableReader): Config['batch'] {
  const memory = read.text('MILLRACE_DUCKDB_MEMORY') ?? '512MB';
  if ((bytesOf(memory) ?? 0) < LEAST_MEMORY)
    read.refuse('MILLRACE_DUCKDB_MEMORY', memory, 'a size of at least 128MB, such as 512MB or 4GB');
  const submit = read.text('MILLRACE_SPARK_SUBMIT') ?? 'spark-submit';
  const master = read.text('MILLRACE_SPARK_MASTER') ?? 'local[*]';
  const isSpark = read.oneOf('MILLRACE_WAREHOUSE', WAREHOUSES, 'duckdb') === 'spark';
  const openLineageUrl = read.text('OPENLINEAGE_URL');
  if (openLineageUrl !== undefined && !/^https?:$/.test(URL.parse(openLineageUrl)?.protocol ?? ''))
    read.refuse('OPENLINEAGE_URL', '…', 'an address such as http://localhost:5000');
  return {
    intervalMs: read.number('BATCH_INTERVAL_SECONDS', 60, { min: 0, max: 31_536_000 }) * 1000,
    memory,
    warehouse: isSpark ? { kind: 'spark', submit, master } : { kind: 'duckdb' },
    ...(openLineageUrl !== undefined && { openLineageUrl }),
  };
}

/** A size as DuckDB reads it; undefined for anything else. */
function bytesOf(size: string): number | undefined {
  const [, number, prefix = '', binary] = /^(\d+(?:\.\d+)?)\s?([KMGT])(i?)B$/i.exec(size) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * (binary ? 1024 : 1000) ** (1 + 'KMGT'.indexOf(prefix.toUpperCase()));
}

function readSource(read: VariableReader): Config['source'] {
  const host = read.text('POSTGRES_HOST');
  const port = read.integer('POSTGRES_PORT', 5432, { min: 1, max: 65_535 });
  const database = read.text('POSTGRES_DB') ?? 'source_db';
  const user = read.text('POSTGRES_USER') ?? 'postgres';
  const password = read.text('POSTGRES_PASSWORD') ?? '';
  const sslmode = read.oneOf('POSTGRES_SSLMODE', SSL_MODES, 'prefer');
  const sslrootcert = read.file('POSTGRES_SSL_CA');
  if (sslrootcert === undefined && sslmode.startsWith('verify'))
    read.problems.push(
      `POSTGRES_SSL_CA: not set, expected the file of the certificate authority, as POSTGRES_SSLMODE is ${sslmode}`,
    );
  if (host === undefined) return { kind: 'embedded', database, user };
  const server = { host, port, database, user, password, sslmode };
  return {
    kind: 'server',
    server: sslrootcert === undefined ? server : { ...server, sslrootcert },
  };
}

function readLog(read: VariableReader): Config['log'] {
  const brokers = read
    .text('KAFKA_BROKER')
    ?.split(',')
    .map((each) => each.trim());
  const protocol = read.oneOf('KAFKA_SECURITY_PROTOCOL', SECURITY_PROTOCOLS, 'PLAINTEXT');
  const mechanism = read.oneOf('KAFKA_SASL_MECHANISM', SASL_MECHANISMS, 'PLAIN');
  const username = read.text('KAFKA_SASL_USERNAME');
  const password = read.text('KAFKA_SASL_PASSWORD');
  const caFile = read.file('KAFKA_SSL_CA');
  if (brokers === undefined) return { kind: 'embedded' };
  for (const broker of brokers)
    if (!/^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(broker))
      read.refuse('KAFKA_BROKER', broker, 'host:port, or several separated by commas');
  const isSasl = protocol.startsWith('SASL_');
  for (const [name, value] of Object.entries({
    KAFKA_SASL_USERNAME: username,
    KAFKA_SASL_PASSWORD: password,
  }))
    if (isSasl && value === undefined)
      read.problems.push(`${name}: not set, expected as KAFKA_SECURITY_PROTOCOL is ${protocol}`);
  return {
    kind: 'kafka',
    brokers,
    ...(protocol.endsWith('SSL') && { tls: caFile === undefined ? {} : { caFile } }),
    ...(isSasl && { sasl: { mechanism, username: username ?? '', password: password ?? '' } }),
  };
}

function readStore(read: VariableReader): Config['store'] {
  const host = read.text('REDIS_HOST');
  const port = read.integer('REDIS_PORT', 6379, { min: 1, max: 65_535 });
  const database = read.integer('REDIS_DB', 0, { max: 1023 });
  const username = read.text('REDIS_USERNAME');
  const password = read.text('REDIS_PASSWORD');
  const isTls = read.oneOf('REDIS_TLS', ['true', 'false'], 'false') === 'true';
  const caFile = read.file('REDIS_SSL_CA');
  if (host === undefined) return { kind: 'embedded' };
  return {
    kind: 'redis',
    host,
    port,
    ...(database !== 0 && { database }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(isTls && { tls: caFile === undefined ? {} : { caFile } }),
  };
}

function readConnectorEngine(read: VariableReader, source: Config['source']): Config['connector'] {
  const url = read.text('MILLRACE_CONNECT_URL');
  const chosen = read.oneOf('MILLRACE_CONNECT_PLACEHOLDERS', PLACEHOLDERS, 'worker');
  if (url === undefined) return { kind: 'native' };
  if (/@/.test(url))
    read.refuse('MILLRACE_CONNECT_URL', '…@…', 'an address without user and password');
  else if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    read.refuse('MILLRACE_CONNECT_URL', url, 'an address such as http://localhost:8083');
  // Nobody but us knows the address and the password of the embedded server.
  return { kind: 'debezium', url, placeholders: source.kind === 'embedded' ? 'filled' : chosen };
}
