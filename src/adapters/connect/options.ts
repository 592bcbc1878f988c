import { readFile } from 'node:fs/promises';
import { MillraceError } from '../../domain/errors.ts';
import { OWN_PREFIX } from '../../domain/logical-message.ts';
import type { Validation } from './rest.ts';

export type Options = Readonly<Record<string, string>>;

/** How the worker reads from Kafka what operators ask of the connector. */
export type KafkaAccess = Readonly<{
  brokers: readonly string[];
  tls?: Readonly<{ caFile?: string }>;
  sasl?: Readonly<{ mechanism: string; username: string; password: string }>;
}>;

/** What a connector has beside the topics of tables, for what is asked of it and what it tells. */
export type OwnTopics = Readonly<{ signals: string; notifications: string }>;

/** A change of nothing: a message in the WAL, of a transaction, as a read-only copy fails on one without. */
export const EMPTY_CHANGE = `SELECT pg_logical_emit_message(true, '${OWN_PREFIX}', '')`;

/**
 * The options that Connect is given: those of connector.json, and where it names none, what makes
 * an idle source confirm its WAL, and what lets tables be copied while changes flow. None of them
 * leaves anything on the source.
 */
export async function completeOptions(
  options: Options,
  name: string,
  topics: OwnTopics,
  kafka: KafkaAccess,
): Promise<Options> {
  const excluded = options['message.prefix.exclude.list'] ?? '';
  const isChosen = (options['message.prefix.include.list'] ?? '') !== '';
  const hasSignalTable = (options['signal.data.collection'] ?? '') !== '';
  return {
    // Debezium confirms only what it has read a later change of. So the heartbeat makes one.
    'heartbeat.interval.ms': '1000',
    'heartbeat.action.query': EMPTY_CHANGE,
    // Without a table for signals on the source, copies find by snapshots what overtook them.
    ...(!hasSignalTable && { 'read.only': 'true' }),
    'signal.enabled.channels': hasSignalTable ? 'source,kafka' : 'kafka',
    'signal.kafka.topic': topics.signals,
    'signal.kafka.groupId': topics.signals,
    'signal.poll.interval.ms': '1000',
    'signal.kafka.poll.timeout.ms': '500',
    // Else it commits at an orderly end alone, and repeats every copy after a kill.
    'signal.consumer.enable.auto.commit': 'true',
    ...(await accessOptions(kafka)),
    'notification.enabled.channels': 'sink',
    'notification.sink.topic.name': topics.notifications,
    ...options,
    // The messages of heartbeats are of no interest, also where others are not.
    ...(!isChosen && {
      'message.prefix.exclude.list': excluded === '' ? OWN_PREFIX : `${excluded},${OWN_PREFIX}`,
    }),
    // Its old name, which Debezium no longer takes.
    ...(options['snapshot.mode'] === 'never' && { 'snapshot.mode': 'no_data' }),
    name,
  };
}

async function accessOptions({ brokers, tls, sasl }: KafkaAccess): Promise<Options> {
  const ca = tls?.caFile === undefined ? undefined : await readFile(tls.caFile, 'utf8');
  const isPlain = tls === undefined && sasl === undefined;
  const protocol = `${sasl === undefined ? '' : 'SASL_'}${tls === undefined ? 'PLAINTEXT' : 'SSL'}`;
  const consumer = {
    ...(!isPlain && { 'security.protocol': protocol }),
    ...(ca !== undefined && { 'ssl.truststore.type': 'PEM', 'ssl.truststore.certificates': ca }),
    ...(sasl !== undefined && {
      'sasl.mechanism': sasl.mechanism,
      'sasl.jaas.config': loginOf(sasl),
    }),
  };
  return {
    'signal.kafka.bootstrap.servers': brokers.join(','),
    ...Object.fromEntries(
      Object.entries(consumer).map(([option, value]) => [`signal.consumer.${option}`, value]),
    ),
  };
}

function loginOf({ mechanism, username, password }: NonNullable<KafkaAccess['sasl']>): string {
  const module =
    mechanism === 'PLAIN'
      ? 'org.apache.kafka.common.security.plain.PlainLoginModule'
      : 'org.apache.kafka.common.security.scram.ScramLoginModule';
  const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  return `${module} required username=${quoted(username)} password=${quoted(password)};`;
}

/** Options that Debezium or Connect reads without listing them. */
const UNLISTED =
  /^(read\.only$|signal\.(kafka|consumer)\.|column\.(mask|truncate)|driver\.|(transforms|predicates|converters)\.|(key|value|header)\.converter\.|producer\.override\.|topic\.|snapshot\.select\.statement\.overrides\.|[^.]+\.(type|format|selector)$)/;

/**
 * Throws `connector_config_invalid` with every problem that Connect found; or where nothing but the
 * source is wrong, `source_login_failed` or `source_unreachable`, seen from the worker.
 */
export function refuseInvalid(
  options: Options,
  { configs }: Validation,
  hide: (text: string) => string,
): void {
  const known = new Set(configs.map(({ value }) => value.name));
  const problems = [
    ...configs.flatMap(({ value: { name, errors } }) => errors.map((said) => `${name}: ${said}`)),
    ...Object.keys(options)
      .filter((option) => !known.has(option) && !UNLISTED.test(option))
      .map((option) => `${option}: unknown option`),
  ].map(hide);
  if (problems.length === 0) return;
  const ofSource = problems.map(sourceProblem);
  const [code] = ofSource;
  if (code !== undefined && ofSource.every((each) => each !== undefined))
    throw new MillraceError(code, {
      seenFrom: 'the worker of Kafka Connect',
      said: problems.join('; '),
      ...placeholders(options),
    });
  throw new MillraceError('connector_config_invalid', {
    problems: `\n- ${problems.join('\n- ')}\n`,
    ...placeholders(options),
  });
}

function sourceProblem(problem: string): 'source_login_failed' | 'source_unreachable' | undefined {
  if (!problem.includes('Error while validating connector config: ')) return undefined;
  if (/authentication failed|no pg_hba\.conf entry|role ".*" does not exist/.test(problem))
    return 'source_login_failed';
  return /Connection to .* refused|connection attempt failed|starting up|shutting down|too many clients/.test(
    problem,
  )
    ? 'source_unreachable'
    : undefined;
}

/** The worker fills them in, and leaves what it does not know as it is, in silence. */
function placeholders(options: Options): Record<string, string> {
  const found = Object.entries(options).flatMap(([option, value]) =>
    /\$\{[^}]*\}/.test(value) ? [`${option}=${value}`] : [],
  );
  if (found.length === 0) return {};
  const remedy = 'or set MILLRACE_CONNECT_PLACEHOLDERS=filled';
  return {
    leftToTheWorker: `${found.join(', ')}: give these to the worker's environment, ${remedy}`,
  };
}

/** Replaces the secrets of a configuration, and those that are added to it, by dots in what others say. */
export function hiderOf(
  options: Options,
  { sasl }: Pick<KafkaAccess, 'sasl'>,
): (text: string) => string {
  const isSecret = (option: string) => /password|secret|jaas|\.key$/i.test(option);
  const all = Object.entries({ ...options, ...sasl, ...(sasl && { jaas: loginOf(sasl) }) });
  // A password that is also the user's name would take that out of every message.
  const open = new Set(all.flatMap(([name, value]) => (isSecret(name) ? [] : [value])));
  const secrets = all
    .filter(([option, value]) => isSecret(option) && !/^\$\{.*\}$/.test(value))
    .flatMap(([, value]) => [value, ...passwordsIn(value)])
    .filter((secret) => secret.length > 2 && !open.has(secret))
    .toSorted((a, b) => b.length - a.length);
  return (text) => secrets.reduce((hidden, secret) => hidden.replaceAll(secret, '…'), text);
}

/** Of a JAAS configuration. */
function passwordsIn(value: string): string[] {
  return [...value.matchAll(/password="((?:[^"\\]|\\.)*)"/g)].flatMap(([, found]) => found ?? []);
}
