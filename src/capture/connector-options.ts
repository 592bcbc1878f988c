/**
 * Every option of Debezium's PostgreSQL connector that the native one knows, and what it may be.
 * https://debezium.io/documentation/reference/stable/connectors/postgresql.html
 *
 * - `values`: those that are honoured; another is refused, never ignored.
 * - `any`: read by the connector.
 * - `without effect`: about parts that the native engine does not have, such as Connect's queues.
 * - `defaultOnly`: not built natively yet; may stand in the file with Debezium's default.
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
  'database.exclude.list': { defaultOnly: '' },
  'database.hostname': 'any',
  'database.include.list': { defaultOnly: '' },
  'database.initial.statements': { defaultOnly: '' },
  'database.password': 'any',
  'database.port': 'any',
  'database.query.timeout.ms': 'without effect',
  'database.sslcert': { defaultOnly: '' },
  'database.sslfactory': { defaultOnly: '' },
  'database.sslkey': { defaultOnly: '' },
  'database.sslmode': {
    values: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
  },
  'database.sslpassword': { defaultOnly: '' },
  'database.sslrootcert': 'any',
  'database.tcpKeepAlive': 'without effect',
  'database.user': 'any',
  'datatype.propagate.source.type': { defaultOnly: '' },
  'decimal.handling.mode': { values: ['string'] },
  'errors.max.retries': 'without effect',
  'event.converting.failure.handling.mode': 'without effect',
  'event.processing.failure.handling.mode': { defaultOnly: 'fail' },
  'executor.shutdown.timeout.ms': 'without effect',
  'extended.headers.enabled': { values: ['true', 'false'] },
  'field.name.adjustment.mode': { defaultOnly: 'none' },
  'flush.lsn.source': { defaultOnly: 'true' },
  'guardrail.collections.limit.action': 'without effect',
  'guardrail.collections.max': 'without effect',
  'heartbeat.action.query': 'any',
  'heartbeat.interval.ms': 'any',
  'heartbeat.topics.prefix': 'any',
  'hstore.handling.mode': { defaultOnly: 'json' },
  'include.schema.comments': 'without effect',
  'include.unknown.datatypes': { defaultOnly: 'false' },
  'incremental.snapshot.allow.schema.changes': 'without effect',
  'incremental.snapshot.chunk.size': 'any',
  'incremental.snapshot.watermarking.strategy': 'without effect',
  'internal.advanced.metrics.enable': 'without effect',
  'internal.legacy.snapshot.max.threads': 'without effect',
  'internal.log.position.check.enable': 'without effect',
  'internal.offset.activity.monitor.interval.ms': 'without effect',
  'internal.snapshot.scan.all.columns.force': 'without effect',
  'interval.handling.mode': { defaultOnly: 'numeric' },
  'key.converter': { values: ['org.apache.kafka.connect.json.JsonConverter'] },
  'key.converter.replace.null.with.default': { values: ['false'] },
  'key.converter.schemas.enable': { values: ['false'] },
  'legacy.snapshot.max.threads': 'without effect',
  'lsn.flush.mode': { defaultOnly: '' },
  'lsn.flush.timeout.action': 'without effect',
  'lsn.flush.timeout.ms': 'without effect',
  'max.batch.size': 'without effect',
  'max.queue.size': 'without effect',
  'max.queue.size.in.bytes': 'without effect',
  'memory.management.schemas.class': 'without effect',
  'memory.management.tables.class': 'without effect',
  'message.key.columns': { defaultOnly: '' },
  'message.prefix.exclude.list': 'any',
  'message.prefix.include.list': 'any',
  'notification.enabled.channels': { defaultOnly: '' },
  'notification.sink.topic.name': { defaultOnly: '' },
  'openlineage.integration.config.file.path': 'without effect',
  'openlineage.integration.dataset.kafka.bootstrap.servers': 'without effect',
  'openlineage.integration.enabled': { defaultOnly: 'false' },
  'openlineage.integration.job.description': 'without effect',
  'openlineage.integration.job.namespace': 'without effect',
  'openlineage.integration.job.owners': 'without effect',
  'openlineage.integration.job.tags': 'without effect',
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
  'signal.emit.failure.backoff.ms': 'without effect',
  'signal.emit.failure.max.retries': 'without effect',
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
  'snapshot.locking.mode.custom.name': { defaultOnly: '' },
  'snapshot.max.threads': 'without effect',
  'snapshot.max.threads.multiplier': 'without effect',
  'snapshot.mode': { values: ['initial', 'no_data', 'never'] },
  'snapshot.mode.configuration.based.snapshot.data': 'without effect',
  'snapshot.mode.configuration.based.snapshot.on.data.error': 'without effect',
  'snapshot.mode.configuration.based.snapshot.on.schema.error': 'without effect',
  'snapshot.mode.configuration.based.snapshot.schema': 'without effect',
  'snapshot.mode.configuration.based.start.stream': 'without effect',
  'snapshot.mode.custom.name': { defaultOnly: '' },
  'snapshot.query.mode': { defaultOnly: 'select_all' },
  'snapshot.query.mode.custom.name': { defaultOnly: '' },
  'snapshot.select.statement.overrides': { defaultOnly: '' },
  'snapshot.tables.order.by.row.count': { defaultOnly: 'disabled' },
  'sourceinfo.struct.maker': {
    defaultOnly: 'io.debezium.connector.postgresql.PostgresSourceInfoStructMaker',
  },
  'statistics.metrics.enabled': 'without effect',
  'status.update.interval.ms': 'without effect',
  'streaming.delay.ms': { defaultOnly: '0' },
  'table.exclude.list': 'any',
  'table.ignore.builtin': { defaultOnly: 'true' },
  'table.include.list': 'any',
  'tasks.max': { values: ['1'] },
  'time.precision.mode': { values: ['isostring'] },
  'tombstones.on.delete': { values: ['true', 'false'] },
  'topic.naming.strategy': { defaultOnly: 'io.debezium.schema.SchemaTopicNamingStrategy' },
  'topic.prefix': 'any',
  'transaction.metadata.factory': 'without effect',
  'unavailable.value.placeholder': 'any',
  'value.converter': { values: ['org.apache.kafka.connect.json.JsonConverter'] },
  'value.converter.replace.null.with.default': { values: ['false'] },
  'value.converter.schemas.enable': { values: ['false'] },
  'xmin.fetch.interval.ms': { defaultOnly: '0' },
};

/** Options without which there is nothing to connect to. */
export const CONNECTING_OPTIONS = [
  'database.hostname',
  'database.user',
  'database.dbname',
  'topic.prefix',
] as const;

/** And those whose default in Debezium is not built yet. */
export const REQUIRED_OPTIONS = [
  ...CONNECTING_OPTIONS,
  'decimal.handling.mode',
  'time.precision.mode',
] as const;

/** What is wrong with one option; undefined when nothing is. */
export function optionProblem(name: string, value: string): string | undefined {
  const rule = CONNECTOR_OPTIONS[name];
  if (rule === undefined)
    return isOfColumns(name)
      ? `${name}: the native connector does not have it yet`
      : `${name}: unknown option${similar(name)}`;
  if (rule === 'any' || rule === 'without effect') return undefined;
  if ('values' in rule)
    return rule.values.includes(value)
      ? undefined
      : `${name}: expected ${rule.values.join(' or ')}, found "${value}"`;
  return value === rule.defaultOnly
    ? undefined
    : `${name}: the native connector does not have it yet; expected it absent or "${rule.defaultOnly}", found "${value}"`;
}

/** Options that carry a number or a salt in their name. */
function isOfColumns(name: string): boolean {
  return /^column\.(mask\.(hash|with)|truncate\.to)\./.test(name);
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
