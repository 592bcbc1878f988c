import { MillraceError } from '../domain/errors.ts';
import type { ChangeSource, Table } from '../ports/change-source.ts';
import type { EventLog } from '../ports/event-log.ts';
import { readTo } from '../ports/read-to.ts';
import type { ChangeEncoder } from './change-encoder.ts';
import type { ConnectorConfig } from './connector-config.ts';
import type { RecordBatch } from './record-batch.ts';
import { keyNamesOf, Relation, type RelationShape } from './relation.ts';

/**
 * Knows the key and the topic of every relation that the WAL names.
 *
 * The WAL does not tell the order of a key's columns, and under REPLICA IDENTITY FULL not the key.
 * It is asked of the catalogue when the table is first seen, and remembered in a compacted topic, in
 * the same append as the table's first records: a table that is dropped or altered while capture
 * lags keeps its key.
 */
export class RelationRegistry {
  readonly #source: ChangeSource;
  readonly #log: EventLog;
  readonly #config: ConnectorConfig;
  readonly #encoder: ChangeEncoder;
  readonly #batch: RecordBatch;
  readonly #schemasTopic: string;
  readonly #partitionsOf: (topic: string) => number;
  readonly #remembered = new Map<number, readonly string[]>();
  readonly #tableOfTopic = new Map<string, string>();

  constructor(parts: {
    source: ChangeSource;
    log: EventLog;
    config: ConnectorConfig;
    encoder: ChangeEncoder;
    batch: RecordBatch;
    schemasTopic: string;
    partitionsOf: (topic: string) => number;
  }) {
    this.#source = parts.source;
    this.#log = parts.log;
    this.#config = parts.config;
    this.#encoder = parts.encoder;
    this.#batch = parts.batch;
    this.#schemasTopic = parts.schemasTopic;
    this.#partitionsOf = parts.partitionsOf;
  }

  /** Reads what earlier runs remembered. */
  async load(signal: AbortSignal): Promise<void> {
    await this.#log.createTopics([{ name: this.#schemasTopic, partitions: 1, cleanup: 'compact' }]);
    const partition = { topic: this.#schemasTopic, partition: 0 };
    const { start, end } = await this.#log.offsets(partition);
    for await (const records of readTo(this.#log, { ...partition, offset: start }, end, signal))
      for (const { key, value } of records) this.#remember(key, value);
  }

  /** Makes the encoder ready for changes of this relation. */
  async learn(shape: RelationShape): Promise<void> {
    const { oid, schema, name } = shape;
    if (!this.#config.tables.matches(schema, name)) return this.#encoder.ignore(oid);
    const today = await this.#source.table(oid);
    const keyNames = keyNamesOf(shape, today, this.#remembered.get(oid));
    this.#keep(oid, shape, keyNames);
    const relation = new Relation(shape, keyNames, this.#config.placeholder);
    this.#encoder.define(relation, await this.topic(schema, name));
    return undefined;
  }

  /** A table as a copy reads it, under the key of its streamed changes. */
  async ofCopy(table: Table): Promise<Readonly<{ relation: Relation; topic: string }>> {
    const shape = copiedShape(table);
    const keyNames = keyNamesOf(shape, table, undefined);
    this.#keep(table.oid, shape, keyNames);
    const relation = new Relation(shape, keyNames, this.#config.placeholder);
    return { relation, topic: await this.topic(table.schema, table.name) };
  }

  /** The topic of a table, created when it is missing. */
  async topic(schema: string, table: string): Promise<string> {
    const name = topicName(this.#config.topicPrefix, schema, table);
    const id = `"${schema}"."${table}"`; // x."a.b" is not "x.a".b
    const other = this.#tableOfTopic.get(name);
    if (other === id) return name;
    if (other !== undefined)
      throw new MillraceError('topic_collision', { topic: name, tables: `${other} and ${id}` });
    await this.#log.createTopics([
      { name, partitions: this.#partitionsOf(name), cleanup: 'delete' },
    ]);
    this.#tableOfTopic.set(name, id);
    return name;
  }

  #keep(oid: number, shape: RelationShape, keyNames: readonly string[]): void {
    const known = this.#remembered.get(oid);
    if (known !== undefined && known.join('\0') === keyNames.join('\0')) return;
    this.#remembered.set(oid, keyNames);
    const [writer] = this.#batch.writers(this.#schemasTopic, 1);
    const value = { table: `${shape.schema}.${shape.name}`, key: keyNames };
    writer?.add({
      timestampMs: this.#encoder.clock.ms,
      key: Buffer.from(`${this.#config.name}/${oid}`),
      value: Buffer.from(JSON.stringify(value)),
      headers: [],
    });
  }

  #remember(key: Uint8Array | null, value: Uint8Array | null): void {
    const [connector, oid] = Buffer.from(key ?? [])
      .toString()
      .split(/\/(?=\d+$)/);
    if (connector !== this.#config.name || value === null) return;
    const { key: names } = JSON.parse(Buffer.from(value).toString()) as { key: readonly string[] };
    this.#remembered.set(Number(oid), names);
  }
}

/** The shape of a table as a copy reads it: what pgoutput sends of it, generated columns left out. */
export function copiedShape(table: Table): RelationShape {
  return {
    oid: table.oid,
    schema: table.schema,
    name: table.name,
    identity: IDENTITY_LETTERS[table.replicaIdentity],
    columns: table.columns
      .filter((column) => !column.isGenerated)
      .map(({ name, typeOid, typeModifier }) => ({
        name,
        typeOid,
        typeModifier,
        isIdentity: table.identityColumns.includes(name),
      })),
  };
}

const IDENTITY_LETTERS = { default: 'd', nothing: 'n', full: 'f', index: 'i' } as const;

/** As Debezium names topics: what Kafka does not allow becomes an underscore. */
export function topicName(prefix: string, schema: string, table: string): string {
  return `${prefix}.${schema}.${table}`.replaceAll(/[^a-zA-Z0-9._-]/g, '_');
}
