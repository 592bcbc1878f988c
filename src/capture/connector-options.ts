/**
 * Every option of Debezium's PostgreSQL connector that the native one knows, and what it may be.
 * https://debezium.io/documentation/reference/stable/connectors/postgresql.html
 *
 * - `values`: those that are honoured; another is refused, never ignored.
 * - `any`: read by the connector.
 * - `without effect`: about parts that the native engine does not have, such as Connect's queues.
 * - `default only`: not built natively yet; may stand in the file with Debezium's default.
 */
type OptionRule =
  | Readonly<{ values: readonly string[] }>
  | 'any'
  | 'without effect'
  | Readonly<{ defaultOnly: string }>;

export const CONNECTOR_OPTIONS: Readonly<Record<string, OptionRule>> = {
  'binary.handling.mode': { values: ['bytes', 'base64'] },
  'column.exclude.list': { defaultOnly: '' },
  'column.include.list': { defaultOnly: '' },
  'column.propagate.source.type': { defaultOnly: '' },
  'connection.validation.timeout.ms': 'without effect',
  'connector.class': { values: ['io.debezium.connector.postgresql.PostgresConnector'] },
  converters: { defaultOnly: '' },
  'custom.metric.tags': 'without effect',
  'custom.sanitize.pattern': 'without effect',
  'database.dbname': 'any',
  'database.hostname': 'any',
  'database.initial.statements': { defaultOnly: '' },
  'database.password': 'any',
  'database.port': 'any',
  'database.query.timeout.ms': 'without effect',
  'database.sslmode': {
    values: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
  },
  'database.sslrootcert': 'any',
  'database.sslcert': { defaultOnly: '' },
  'database.sslkey': { defaultOnly: '' },
  'database.tcpKeepAlive': 'without effect',
  'database.user': 'any',
  'datatype.propagate.source.type': { defaultOnly: '' },
  'decimal.handling.mode': { values: ['string'] },
  'errors.max.retries': 'without effect',
  'event.processing.failure.handling.mode': { defaultOnly: 'fail' },
  'executor.shutdown.timeout.ms': 'without effect',
  'extended.headers.enabled': { values: ['true', 'false'] },
  'field.name.adjustment.mode': { defaultOnly: 'none' },
  'flush.lsn.source': { defaultOnly: 'true' },
  'heartbeat.action.query': { defaultOnly: '' },
  'heartbeat.interval.ms': { defaultOnly: '0' },
  'heartbeat.topics.prefix': { defaultOnly: '__debezium-heartbeat' },
  'hstore.handling.mode': 'without effect',
  'include.schema.comments': 'without effect',
  'include.unknown.datatypes': 'without effect',
  'incremental.snapshot.chunk.size': 'any',
  'incremental.snapshot.watermarking.strategy': 'without effect',
  'interval.handling.mode': 'without effect',
  'key.converter': { values: ['org.apache.kafka.connect.json.JsonConverter'] },
  'key.converter.replace.null.with.default': { values: ['false'] },
  'key.converter.schemas.enable': { values: ['false'] },
  'max.batch.size': 'without effect',
  'max.queue.size': 'without effect',
  'max.queue.size.in.bytes': 'without effect',
  'message.key.columns': { defaultOnly: '' },
  'message.prefix.exclude.list': { defaultOnly: '' },
  'message.prefix.include.list': { defaultOnly: '' },
  'notification.enabled.channels': { defaultOnly: '' },
  'plugin.name': { values: ['pgoutput'] },
  'poll.interval.ms': 'without effect',
  'post.processors': { defaultOnly: '' },
  'provide.transaction.metadata': { defaultOnly: 'false' },
  'publication.autocreate.mode': { values: ['all_tables', 'filtered', 'disabled'] },
  'publication.name': 'any',
  'publish.via.partition.root': { defaultOnly: 'false' },
  'query.fetch.size': 'without effect',
  'replica.identity.autoset.values': { defaultOnly: '' },
  'retriable.restart.connector.wait.ms': 'without effect',
  'schema.exclude.list': 'any',
  'schema.include.list': 'any',
  'schema.name.adjustment.mode': { defaultOnly: 'none' },
  'schema.refresh.mode': 'without effect',
  'signal.data.collection': { defaultOnly: '' },
  'signal.enabled.channels': 'without effect',
  'signal.poll.interval.ms': 'without effect',
  'skip.messages.without.change': { defaultOnly: 'false' },
  'skipped.operations': 'any',
  'slot.drop.on.stop': { defaultOnly: 'false' },
  'slot.failover': { defaultOnly: 'false' },
  'slot.max.retries': 'without effect',
  'slot.name': 'any',
  'slot.retry.delay.ms': 'without effect',
  'slot.stream.params': { defaultOnly: '' },
  'snapshot.delay.ms': { defaultOnly: '0' },
  'snapshot.fetch.size': 'without effect',
  'snapshot.include.collection.list': { defaultOnly: '' },
  'snapshot.isolation.mode': 'without effect',
  'snapshot.lock.timeout.ms': 'without effect',
  'snapshot.locking.mode': { defaultOnly: 'none' },
  'snapshot.max.threads': 'without effect',
  'snapshot.mode': { values: ['initial', 'no_data', 'never'] },
  'snapshot.select.statement.overrides': { defaultOnly: '' },
  'statistics.metrics.enabled': 'without effect',
  'status.update.interval.ms': 'any',
  'streaming.delay.ms': { defaultOnly: '0' },
  'table.exclude.list': 'any',
  'table.ignore.builtin': { defaultOnly: 'true' },
  'table.include.list': 'any',
  'tasks.max': { values: ['1'] },
  'time.precision.mode': { values: ['isostring'] },
  'tombstones.on.delete': { values: ['true', 'false'] },
  'topic.prefix': 'any',
  'unavailable.value.placeholder': 'any',
  'value.converter': { values: ['org.apache.kafka.connect.json.JsonConverter'] },
  'value.converter.replace.null.with.default': { values: ['false'] },
  'value.converter.schemas.enable': { values: ['false'] },
  'xmin.fetch.interval.ms': { defaultOnly: '0' },
};

/** Debezium's defaults of the options that are read, where the native connector honours them. */
export const REQUIRED_OPTIONS = [
  'database.hostname',
  'database.user',
  'database.dbname',
  'topic.prefix',
  'decimal.handling.mode',
  'time.precision.mode',
] as const;

/** What is wrong with one option; undefined when nothing is. */
export function optionProblem(name: string, value: string): string | undefined {
  const rule = CONNECTOR_OPTIONS[name];
  if (rule === undefined) return `${name}: unknown option${similar(name)}`;
  if (rule === 'any' || rule === 'without effect') return undefined;
  if ('values' in rule)
    return rule.values.includes(value)
      ? undefined
      : `${name}: expected ${rule.values.join(' or ')}, found "${value}"`;
  return value === rule.defaultOnly
    ? undefined
    : `${name}: the native connector does not have it yet; expected it absent or "${rule.defaultOnly}", found "${value}"`;
}

function similar(name: string): string {
  const words = new Set(name.split('.'));
  const [best] = Object.keys(CONNECTOR_OPTIONS)
    .map((known) => ({ known, shared: known.split('.').filter((word) => words.has(word)).length }))
    .filter(({ shared }) => shared > 0)
    .toSorted(
      (a, b) =>
        b.shared - a.shared ||
        Math.abs(a.known.length - name.length) - Math.abs(b.known.length - name.length),
    );
  return best === undefined ? '' : `; did you mean ${best.known}?`;
}
