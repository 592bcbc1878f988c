import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { MillraceError } from '../../domain/errors.ts';
import { readConfig } from './config.ts';
import { readEnvironment } from './environment.ts';

const problemsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    readConfig(environment);
    return [];
  } catch (error) {
    assert.ok(error instanceof MillraceError);
    assert.equal(error.code, 'config_invalid');
    return error.facts['problems'] as string[];
  }
};

describe('readConfig', () => {
  test('needs nothing: everything embedded, with the documented defaults', () => {
    const config = readConfig({});
    assert.deepEqual(config, {
      dataDir: resolve('.millrace'),
      source: { kind: 'embedded', database: 'source_db', user: 'postgres' },
      log: { kind: 'embedded' },
      store: { kind: 'embedded' },
      connector: { kind: 'native' },
      retention: { ms: 168 * 3_600_000, bytes: 2_147_483_648 },
      generator: { recordsPerBatch: 100, intervalMs: 10_000 },
      stream: { bufferRecords: 1000, threads: 1 },
      lake: {
        dir: resolve('.millrace/lake'),
        isNamed: false,
        flushMs: 10_000,
        retentionMs: 30 * 86_400_000,
      },
      batch: { intervalMs: 60_000, memory: '512MB', warehouse: { kind: 'duckdb' } },
      logLevel: 'info',
    });
  });

  test('POSTGRES_HOST alone switches to a server of the user', () => {
    const { source } = readConfig({ POSTGRES_HOST: 'db', POSTGRES_PASSWORD: 'secret' });
    assert.deepEqual(source, {
      kind: 'server',
      server: {
        host: 'db',
        port: 5432,
        database: 'source_db',
        user: 'postgres',
        password: 'secret',
        sslmode: 'prefer',
      },
    });
  });

  test('takes sizes of memory as they are written, and none that is too small', () => {
    for (const size of ['128MB', '0.5GiB', '2 GB', '1tb'])
      assert.equal(readConfig({ MILLRACE_DUCKDB_MEMORY: size }).batch.memory, size);
    for (const size of ['64MB', '100000', 'much', '-1GB'])
      assert.deepEqual(problemsOf({ MILLRACE_DUCKDB_MEMORY: size }), [
        `MILLRACE_DUCKDB_MEMORY: found "${size}", expected a size of at least 128MB, such as 512MB or 4GB`,
      ]);
  });

  test('takes an empty variable for one that is not set', () => {
    assert.equal(readConfig({ POSTGRES_HOST: '', KAFKA_BROKER: ' ' }).source.kind, 'embedded');
  });

  test('names every problem at once, with what was found and what is expected', () => {
    assert.deepEqual(
      problemsOf({
        POSTGRES_HOST: 'db',
        POSTGRES_PORT: '5432x',
        MOCK_DATA_INTERVAL_SECONDS: 'ten',
        MOCK_DATA_RECORDS_PER_BATCH: '0',
        LOG_LEVEL: 'loud',
        KAFKA_BROKER: 'localhost',
        KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
        KAFKA_SASL_PASSWORD: 'secret',
        MILLRACE_RETENTION: '1',
      }),
      [
        'POSTGRES_PORT: found "5432x", expected a whole number from 1 to 65535',
        'KAFKA_BROKER: found "localhost", expected host:port, or several separated by commas',
        'KAFKA_SASL_USERNAME: not set, expected as KAFKA_SECURITY_PROTOCOL is SASL_SSL',
        'MOCK_DATA_RECORDS_PER_BATCH: found "0", expected a whole number from 1 to 1000000',
        'MOCK_DATA_INTERVAL_SECONDS: found "ten", expected a number from 0.001 to 86400',
        'LOG_LEVEL: found "loud", expected one of trace, debug, info, warn, error, fatal, silent',
        'MILLRACE_RETENTION: no such variable, expected one of MILLRACE_CONNECT_PLACEHOLDERS, MILLRACE_CONNECT_URL, MILLRACE_DATA_DIR, MILLRACE_DUCKDB_MEMORY, MILLRACE_LAKE, MILLRACE_LAKE_FLUSH_SECONDS, MILLRACE_LAKE_RETENTION_DAYS, MILLRACE_LOG_RETENTION_BYTES, MILLRACE_LOG_RETENTION_HOURS, MILLRACE_SPARK_MASTER, MILLRACE_SPARK_SUBMIT, MILLRACE_STREAM_THREADS, MILLRACE_WAREHOUSE',
      ],
    );
  });

  test('REDIS_HOST alone switches to a Redis server', () => {
    assert.deepEqual(readConfig({ REDIS_HOST: 'cache' }).store, {
      kind: 'redis',
      host: 'cache',
      port: 6379,
    });
    const { store } = readConfig({
      REDIS_HOST: 'cache',
      REDIS_PORT: '6380',
      REDIS_DB: '3',
      REDIS_USERNAME: 'shop',
      REDIS_PASSWORD: 'secret',
      REDIS_TLS: 'true',
    });
    assert.deepEqual(store, {
      kind: 'redis',
      host: 'cache',
      port: 6380,
      database: 3,
      username: 'shop',
      password: 'secret',
      tls: {},
    });
  });

  test('KAFKA_BROKER switches to brokers, with what it takes to log in', () => {
    assert.deepEqual(readConfig({ KAFKA_BROKER: 'a:9092, b:9093' }).log, {
      kind: 'kafka',
      brokers: ['a:9092', 'b:9093'],
    });
    const { log } = readConfig({
      KAFKA_BROKER: '[::1]:9092',
      KAFKA_SECURITY_PROTOCOL: 'sasl_ssl',
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'shop',
      KAFKA_SASL_PASSWORD: 'secret',
    });
    assert.deepEqual(log, {
      kind: 'kafka',
      brokers: ['[::1]:9092'],
      tls: {},
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'shop', password: 'secret' },
    });
  });

  test('Debezium needs brokers, and the address of Kafka Connect without a password in it', () => {
    assert.deepEqual(problemsOf({ MILLRACE_CONNECT_URL: 'http://localhost:8083' }), [
      'KAFKA_BROKER: not set, expected the brokers that MILLRACE_CONNECT_URL captures into',
    ]);
    const [problem = ''] = problemsOf({ MILLRACE_CONNECT_URL: 'http://me:secret@localhost:8083' });
    assert.match(problem, /^MILLRACE_CONNECT_URL: .*without user and password$/);
    assert.ok(!problem.includes('secret'));
  });

  test('the worker of Kafka Connect fills in what it can know, unless told otherwise', () => {
    const kafka = { KAFKA_BROKER: 'kafka:9092', MILLRACE_CONNECT_URL: 'http://connect:8083' };
    const connector = { kind: 'debezium', url: 'http://connect:8083', placeholders: 'worker' };
    const server = { ...kafka, POSTGRES_HOST: 'db' };
    assert.deepEqual(readConfig(server).connector, connector);
    const filled = { ...connector, placeholders: 'filled' };
    const told = { ...server, MILLRACE_CONNECT_PLACEHOLDERS: 'filled' };
    assert.deepEqual(readConfig(told).connector, filled);
    assert.deepEqual(readConfig(kafka).connector, filled);
  });

  test('never repeats a password in a problem', () => {
    const problems = problemsOf({
      POSTGRES_HOST: 'db',
      POSTGRES_PASSWORD: 'secret',
      LOG_LEVEL: '?',
    });
    assert.ok(!problems.join().includes('secret'));
  });
});

describe('readEnvironment', () => {
  test('puts the environment of the process over the .env file', () => {
    const cwd = mkdtempSync(join(tmpdir(), 'millrace-env-'));
    try {
      writeFileSync(join(cwd, '.env'), 'LOG_LEVEL=debug\nPOSTGRES_DB="shop"\n');
      const environment = readEnvironment(cwd, { LOG_LEVEL: 'warn' });
      assert.equal(environment['LOG_LEVEL'], 'warn');
      assert.equal(environment['POSTGRES_DB'], 'shop');
    } finally {
      rmSync(cwd, { recursive: true });
    }
  });
});

test('a data directory given on the command line wins over a variable', () => {
  const config = readConfig({ MILLRACE_DATA_DIR: '/a' }, { dataDir: '/b' });
  assert.equal(config.dataDir, '/b');
});
