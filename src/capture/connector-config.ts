import { MillraceError } from '../domain/errors.ts';
import {
  CONNECTING_OPTIONS,
  CONNECTOR_OPTIONS,
  optionProblem,
  REQUIRED_OPTIONS,
} from './connector-options.ts';
import type { HeartbeatConfig } from './heartbeat.ts';
import { MessageFilter } from './message-filter.ts';
import { TableFilter } from './table-filter.ts';

/** As libpq knows them. */
type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** A connector's configuration, parsed: all that capture needs to know. */
export type ConnectorConfig = Readonly<{
  /** Of the connector. */
  name: string;
  database: Readonly<{
    host: string;
    port: number;
    user: string;
    password: string;
    database: string;
    sslmode?: SslMode;
    sslrootcert?: string;
  }>;
  topicPrefix: string;
  slot: string;
  publication: string;
  publicationMode: 'all_tables' | 'filtered' | 'disabled';
  tables: TableFilter;
  /** Which logical messages are written. */
  messages: MessageFilter;
  snapshotMode: 'initial' | 'no_data';
  skippedOperations: ReadonlySet<string>;
  tombstones: boolean;
  contextHeaders: boolean;
  placeholder: string;
  chunkRows: number;
  /** `source.snapshot` of what is streamed: "false" is that field's default, and a converter may leave defaults out. */
  streamedMark: 'false' | null;
  /** Undefined: none. */
  heartbeat: HeartbeatConfig | undefined;
  /** All of the file's options, for Kafka Connect: filled in, so with the password, and as they stand in the file. */
  options: Readonly<Record<string, string>>;
  unfilled: Readonly<Record<string, string>>;
}>;

/** Who runs the connector: what one can't do may be what the other can. */
export type ConnectorEngine = 'native' | 'debezium';

const PLACEHOLDER = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g;

/**
 * Reads a connector.json as it is posted to Kafka Connect: `{ name, config }`, or the bare config.
 * `${env:NAME}` is filled in from `env`. Throws `connector_config_invalid` with every problem; of
 * options that only Debezium has to understand, Kafka Connect says what is wrong with them.
 */
export function readConnectorConfig(
  json: unknown,
  env: Readonly<Record<string, string | undefined>>,
  engine: ConnectorEngine = 'native',
): ConnectorConfig {
  const problems: string[] = [];
  const { name, raw } = unwrap(json, problems);
  const options = new Map<string, string>();
  const unfilled: Record<string, string> = {};
  for (const [option, value] of Object.entries(raw)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      problems.push(`${option}: expected a string, found ${JSON.stringify(value)}`);
      continue;
    }
    const filled = String(value).replaceAll(PLACEHOLDER, (_, variable: string) => {
      const found = env[variable];
      if (found === undefined) problems.push(`${option}: the environment has no ${variable}`);
      return found ?? '';
    });
    options.set(option, filled);
    unfilled[option] = String(value);
    const problem = engine === 'native' ? optionProblem(option, filled) : undefined;
    if (problem !== undefined) problems.push(problem);
  }
  for (const required of engine === 'native' ? REQUIRED_OPTIONS : CONNECTING_OPTIONS)
    if (!options.has(required)) problems.push(missing(required));
  const config = { ...build(name, options, problems), unfilled };
  if (problems.length > 0)
    throw new MillraceError('connector_config_invalid', {
      problems: `\n- ${problems.join('\n- ')}\n`,
    });
  return config;
}

function build(
  name: string,
  options: ReadonlyMap<string, string>,
  problems: string[],
): Omit<ConnectorConfig, 'unfilled'> {
  const text = (option: string, otherwise: string) => options.get(option) ?? otherwise;
  const whole = (option: string, otherwise: number, min: number, max: number) => {
    const value = Number(text(option, String(otherwise)));
    if (!Number.isInteger(value) || value < min || value > max)
      problems.push(
        `${option}: expected a whole number from ${min} to ${max}, found "${options.get(option)}"`,
      );
    return value;
  };
  // One of them, or it is among the problems.
  const sslmode = options.get('database.sslmode') as SslMode | undefined;
  const sslrootcert = options.get('database.sslrootcert');
  const slot = text('slot.name', 'debezium');
  if (!/^[a-z0-9_]{1,63}$/.test(slot))
    problems.push(
      `slot.name: expected lower-case letters, digits and _, at most 63, found "${slot}"`,
    );
  const prefix = text('topic.prefix', '');
  if (options.has('topic.prefix') && !/^[a-zA-Z0-9._-]+$/.test(prefix))
    problems.push(`topic.prefix: expected letters, digits, ., _ and -, found "${prefix}"`);
  const heartbeatPrefix = text('heartbeat.topics.prefix', '__debezium-heartbeat');
  if (!/^[a-zA-Z0-9._-]+$/.test(heartbeatPrefix))
    problems.push(
      `heartbeat.topics.prefix: expected letters, digits, ., _ and -, found "${heartbeatPrefix}"`,
    );
  const heartbeatEveryMs = whole('heartbeat.interval.ms', 0, 0, 2_147_483_647);
  const action = text('heartbeat.action.query', '');
  return {
    name,
    options: Object.fromEntries(options),
    database: {
      host: text('database.hostname', ''),
      port: whole('database.port', 5432, 1, 65_535),
      user: text('database.user', ''),
      password: text('database.password', ''),
      database: text('database.dbname', ''),
      ...(sslmode !== undefined && { sslmode }),
      ...(sslrootcert !== undefined && { sslrootcert }),
    },
    topicPrefix: prefix,
    slot,
    publication: text('publication.name', 'dbz_publication'),
    publicationMode: text(
      'publication.autocreate.mode',
      'all_tables',
    ) as ConnectorConfig['publicationMode'],
    tables: TableFilter.parse(
      {
        includeTables: options.get('table.include.list'),
        excludeTables: options.get('table.exclude.list'),
        includeSchemas: options.get('schema.include.list'),
        excludeSchemas: options.get('schema.exclude.list'),
      },
      problems,
    ),
    messages: MessageFilter.parse(
      {
        include: options.get('message.prefix.include.list'),
        exclude: options.get('message.prefix.exclude.list'),
      },
      problems,
    ),
    snapshotMode: text('snapshot.mode', 'initial') === 'initial' ? 'initial' : 'no_data',
    skippedOperations: skipped(text('skipped.operations', 't'), problems),
    tombstones: text('tombstones.on.delete', 'true') === 'true',
    contextHeaders: text('extended.headers.enabled', 'true') === 'true',
    placeholder: text('unavailable.value.placeholder', '__debezium_unavailable_value'),
    chunkRows: whole('incremental.snapshot.chunk.size', 2048, 1, 1_000_000),
    streamedMark:
      options.get('value.converter.replace.null.with.default') === 'false' ? null : 'false',
    heartbeat:
      heartbeatEveryMs === 0
        ? undefined
        : {
            everyMs: heartbeatEveryMs,
            topic: `${heartbeatPrefix}.${prefix}`,
            action: action === '' ? undefined : action,
          },
  };
}

function skipped(list: string, problems: string[]): ReadonlySet<string> {
  const operations = list.split(',').map((each) => each.trim());
  if (operations.length === 1 && operations[0] === 'none') return new Set();
  for (const operation of operations)
    if (!['c', 'u', 'd', 't'].includes(operation))
      problems.push(
        `skipped.operations: expected none, or some of c, u, d, t, found "${operation}"`,
      );
  return new Set(operations);
}

function unwrap(json: unknown, problems: string[]): { name: string; raw: Record<string, unknown> } {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    problems.push('expected an object { "name": …, "config": { … } }');
    return { name: '', raw: {} };
  }
  const { name, config } = json as { name?: unknown; config?: unknown };
  if (config === undefined) return { name: 'connector', raw: json as Record<string, unknown> };
  if (typeof name !== 'string' || name === '')
    problems.push('name: expected a name for the connector');
  if (typeof config === 'object' && config !== null) {
    return { name: typeof name === 'string' ? name : '', raw: config as Record<string, unknown> };
  }
  problems.push('config: expected an object of options');
  return { name: '', raw: {} };
}

function missing(option: string): string {
  const rule = CONNECTOR_OPTIONS[option];
  const wanted =
    typeof rule === 'object' && 'values' in rule ? `: expected ${rule.values.join(' or ')}` : '';
  return `${option} is missing${wanted}`;
}
