import type { TableRef } from '../../domain/table.ts';
import { parseExactJson } from '../../lib/exact-json.ts';
import { type Topology, topology } from './topology.ts';

/** The columns of an outbox table that events are made of; other names than Debezium's can be given. */
export type OutboxColumns<R> = Readonly<
  Record<'id' | 'aggregateType' | 'aggregateId' | 'payload', keyof R & string>
>;

export type OutboxOptions<K, R> = Readonly<{
  table: TableRef<K, R>;
  /** Aggregate types that there are: each has its topic. */
  aggregates: readonly string[];
  columns?: Partial<OutboxColumns<R>>;
  /** Of an aggregate type; default `outbox.event.<type>`. */
  topicOf?: (aggregateType: string) => string;
  /** Columns that become headers too, by the header's name. */
  headers?: Readonly<Record<string, keyof R & string>>;
  /** A payload that is the text of a JSON object or array becomes that; else all stay text. Default true. */
  expandsPayload?: boolean;
  /** Events that were in the table before capture began are routed, too. Default true. */
  copied?: boolean;
  /** Of each topic; default 1. */
  partitions?: number;
  version?: string;
}>;

const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;

/**
 * Routes the events that an application writes into an outbox table, in the transaction whose events
 * they are, as Debezium's outbox event router does: each inserted row becomes a record of its
 * aggregate type's topic, with the aggregate's id as key, the payload as value, and the event's id as
 * header `id`. A null payload is a tombstone.
 *
 * Deletes are ignored. So are updates, which an outbox must not have: they are written to the topic
 * `<name>.ignored`. An aggregate type that is not declared is a dead letter.
 */
export function outboxRouter<K, R>(name: string, options: OutboxOptions<K, R>): Topology {
  const { table, aggregates, copied = true, version = '1', partitions } = options;
  const { headers = {}, topicOf = (type: string) => `outbox.event.${type}` } = options;
  const columns = columnsOf(options);
  const typeOf = (row: R): string => textIn(row, columns.aggregateType);
  refuseBadTopics(name, aggregates.map(topicOf));
  const declared = (row: R): R => {
    const type = typeOf(row);
    if (aggregates.includes(type)) return row;
    throw new TypeError(
      `aggregate type "${type}" is not declared: ${name} routes ${aggregates.join(', ')}`,
    );
  };
  return topology(name, { version }, ({ stream }) => {
    const facts = stream(table, { copied });
    facts
      .flatMap((fact) =>
        fact.op === 'u' ? [{ reason: 'an outbox row was updated', ...fact }] : [],
      )
      .to(`${name}.ignored`);
    const all = facts.flatMap((fact) =>
      fact.op === 'c' || fact.op === 'r' ? [declared(fact.after)] : [],
    );
    for (const type of aggregates) {
      const events = all.filter((row) => typeOf(row) === type);
      events.to(topicOf(type), {
        key: (row) => textIn(row, columns.aggregateId),
        value: (row) => payloadOf(row[columns.payload], options.expandsPayload ?? true),
        headers: (row) => headersOf(row, { id: columns.id, ...headers }),
        ...(partitions !== undefined && { partitions }),
      });
    }
  });
}

function columnsOf<K, R>({ columns }: OutboxOptions<K, R>): OutboxColumns<R> {
  const usual = {
    id: 'id',
    aggregateType: 'aggregatetype',
    aggregateId: 'aggregateid',
    payload: 'payload',
  };
  return { ...usual, ...columns } as OutboxColumns<R>;
}

function refuseBadTopics(name: string, topics: readonly string[]): void {
  const bad = topics.find((topic) => !TOPIC.test(topic));
  if (bad !== undefined)
    throw new TypeError(`topic of outbox router ${name}: expected ${TOPIC.source}, found "${bad}"`);
  if (topics.length === 0) throw new TypeError(`outbox router ${name}: expected aggregate types`);
}

function headersOf<R>(
  row: R,
  columns: Readonly<Record<string, keyof R & string>>,
): Readonly<Record<string, string>> {
  const found = Object.entries(columns).filter(([, column]) => row[column] !== null);
  return Object.fromEntries(found.map(([header, column]) => [header, textIn(row, column)]));
}

function textIn<R>(row: R, column: keyof R & string): string {
  const value: unknown = row[column];
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new TypeError(`column ${column} of an outbox row: expected a text, found ${typeof value}`);
}

/** What begins as an object or array but is none stays text, as do other values. */
function payloadOf(payload: unknown, expands: boolean): unknown {
  if (payload === null || payload === undefined) return undefined;
  if (!expands || typeof payload !== 'string' || !/^[[{]/.test(payload)) return payload;
  try {
    return parseExactJson(payload);
  } catch {
    return payload;
  }
}
