import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { query } from '../../adapters/postgres/client.ts';
import { readTables } from '../../adapters/postgres/catalogue.ts';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { readConnectorConfig } from '../../capture/connector-config.ts';
import { MillraceError } from '../../domain/errors.ts';
import { globMatcher } from '../../lib/glob.ts';
import { must } from '../../lib/must.ts';
import type { Table } from '../../ports/change-source.ts';
import { connectionOf } from '../compose.ts';
import { readConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { variablesOf } from '../config/load-pipeline.ts';
import { embeddedServer } from '../operations/generate.ts';
import { checksFor, type SourceCheck } from '../operations/source-check.ts';
import { type DescribedTable, describeTables } from '../described-tables.ts';
import { refuseFilled, writeFiles } from './new-folder.ts';
import { packageFile } from './package-file.ts';
import { type Commands, commandsIn, pipelineFiles } from './pipeline-files.ts';
import { isInCheckout } from './import-of.ts';
import { ownSpec } from './own-spec.ts';

export type InitOptions = Readonly<{
  dir: string;
  /** Else the folder's. */
  name: string | undefined;
  /** Patterns over `schema.table`, or over `table` where they have no point; undefined: all tables. */
  tables: readonly string[] | undefined;
  /** Into a folder that holds files already. */
  force: boolean;
  dataDir: string;
  env: Environment;
}>;

export type InitOutcome = Readonly<{
  dir: string;
  name: string;
  /** By their paths in the folder. */
  files: readonly string[];
  /** As schema.table. */
  tables: readonly string[];
  /** What capture needs of the source. */
  checks: readonly SourceCheck[];
  /** What comes next, in the folder. */
  commands: Commands;
}>;

/**
 * Writes a pipeline for a database that is there: the connector, types of its tables, and a processor
 * with its test. Changes nothing in the database, and says what capture will need of it. All
 * files are written, or none.
 */
export async function initPipeline(
  options: InitOptions,
  signal: AbortSignal,
): Promise<InitOutcome> {
  const { dir, dataDir, env } = options;
  const name = nameOf(options);
  if (!options.force) await refuseFilled(dir);
  const { source, connector: engine } = readConfig(env, { dataDir });
  const server = source.kind === 'server' ? source.server : await embeddedServer(dataDir, signal);
  const chosen = await chosenTables(server, options.tables);
  const file = connectorFile(name, chosen);
  const connector = readConnectorConfig(file, { ...env, ...variablesOf(server) }, engine.kind);
  const connection = connectionOf(connector, source);
  const tables = await describeTables(connection, connector, engine.kind);
  const checks = await checksFor(connection, connector);
  signal.throwIfAborted();
  const files = new Map(
    pipelineFiles({
      name,
      dir,
      connector: file,
      placeholder: connector.placeholder,
      tables,
      sample: busiest(tables),
      server: source.kind === 'server' ? server : undefined,
    }),
  );
  if (!isInCheckout(dir))
    files.set(
      'package.json',
      packageFile(await presentPackage(dir), { name, millrace: await ownSpec(dir) }),
    );
  await writeFiles(dir, files);
  return {
    dir,
    name,
    files: [...files.keys()].toSorted(),
    tables: tables.map((table) => `${table.schema}.${table.name}`),
    checks,
    commands: commandsIn(dir),
  };
}

/** It becomes part of the names of topics, of the slot and of the publication. */
function nameOf({ dir, name }: InitOptions): string {
  if (name === undefined) {
    const words = basename(dir)
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? ['pipeline'];
    return words.join('-').slice(0, MAX_NAME);
  }
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || name.length > MAX_NAME)
    throw new MillraceError('usage', {
      expected: `a name of lower-case letters, digits and dashes, at most ${MAX_NAME}`,
      found: name,
    });
  return name;
}

/** Of a slot's 63, `millrace_` aside. */
const MAX_NAME = 50;

async function chosenTables(
  server: ConnectionFacts,
  patterns: readonly string[] | undefined,
): Promise<readonly Table[]> {
  const tables = await readTables((sql, parameters) => query(server, sql, parameters));
  // The rows of a partitioned table are those of its partitions, which are tables themselves.
  const all = tables.filter(({ kind }) => kind === 'table');
  const isChosen = patterns?.map((pattern) => {
    const matches = globMatcher(pattern);
    return ({ schema, name }: Table) => matches(pattern.includes('.') ? `${schema}.${name}` : name);
  });
  const chosen = all.filter((table) => isChosen?.some((matches) => matches(table)) ?? true);
  if (chosen.length > 0) return chosen;
  const place = `${server.database} on ${server.host}`;
  if (all.length === 0)
    throw new MillraceError('source_not_ready', { expected: `tables in ${place}`, found: 'none' });
  throw new MillraceError('usage', {
    expected: `--tables that match some of ${all.map(({ schema, name }) => `${schema}.${name}`).join(', ')}`,
    found: patterns?.join(','),
  });
}

function connectorFile(name: string, tables: readonly Table[]) {
  const replication = `millrace_${name.replaceAll('-', '_')}`;
  const environment = (variable: string) => `\${env:POSTGRES_${variable}}`;
  const json = 'org.apache.kafka.connect.json.JsonConverter';
  return {
    name,
    config: {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max': '1',
      'plugin.name': 'pgoutput',
      'topic.prefix': name,
      'database.hostname': environment('HOST'),
      'database.port': environment('PORT'),
      'database.user': environment('USER'),
      'database.password': environment('PASSWORD'),
      'database.dbname': environment('DB'),
      'slot.name': replication,
      'publication.name': replication,
      'publication.autocreate.mode': 'filtered',
      'table.include.list': tables.map(includedName).join(','),
      'snapshot.mode': 'initial',
      'decimal.handling.mode': 'string',
      'time.precision.mode': 'isostring',
      'skipped.operations': 'none',
      'tombstones.on.delete': 'true',
      'key.converter': json,
      'key.converter.schemas.enable': 'false',
      'key.converter.replace.null.with.default': 'false',
      'value.converter': json,
      'value.converter.schemas.enable': 'false',
      'value.converter.replace.null.with.default': 'false',
    },
  };
}

/** The list is one of regular expressions; the point between the names may stay one. */
function includedName({ schema, name }: Table): string {
  const escaped = (part: string) => part.replaceAll(/[\\^$.|?*+()[\]{},]/g, String.raw`\$&`);
  return `${escaped(schema)}.${escaped(name)}`;
}

/** The table with most rows, if it has a key: where a processor has something to count. */
function busiest(tables: readonly DescribedTable[]): DescribedTable {
  const [first] = tables.toSorted(
    (a, b) =>
      Number(b.key.length > 0) - Number(a.key.length > 0) ||
      b.estimatedRows - a.estimatedRows ||
      Number(b.schema === 'public') - Number(a.schema === 'public') ||
      b.columns.length - a.columns.length,
  );
  return must(first, 'there are tables');
}

async function presentPackage(dir: string): Promise<string | undefined> {
  try {
    return await readFile(join(dir, 'package.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
