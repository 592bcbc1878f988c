import type { Logger } from 'pino';
import { parseWebhookUrl } from '../adapters/http/webhook-address.ts';
import { WebhookSink } from '../adapters/http/webhook-sink.ts';
import { parsePostgresUrl } from '../adapters/postgres/table-sink-address.ts';
import { TableSink } from '../adapters/postgres/table-sink.ts';
import { MillraceError } from '../domain/errors.ts';
import { systemClock } from '../lib/clock.ts';
import type { Sink } from '../ports/sink.ts';
import type {
  PostgresTableDeclaration,
  SinkDeclaration,
  WebhookDeclaration,
} from '../stream/sinks/declarations.ts';
import type { SinkProcessor } from '../stream/sinks/sink-handler.ts';
import { sinkName } from '../stream/sinks/sink-operator.ts';
import type { Environment } from './config/environment.ts';
import type { Pipeline } from './pipeline.ts';

/** The sinks of a pipeline, each a processor of its own: one that is away holds nothing else up. */
export type PipelineSinks = Readonly<{
  processors: readonly SinkProcessor[];
  /** Optional ones that the environment says too little for. */
  resting: readonly Readonly<{ name: string; missing: readonly string[] }>[];
}>;

const WEBHOOK_TIMEOUT_MS = 10_000;

/** Names of all that runs: processors, and the sinks of their topologies. */
export function processorNames(pipeline: Pipeline): readonly string[] {
  return [
    ...pipeline.processors.map(({ name }) => name),
    ...declaredSinks(pipeline).map(({ name }) => name),
  ];
}

/** Fills in what sinks take from the environment; throws `config_invalid` with every problem. */
export function readSinks(pipeline: Pipeline, environment: Environment): PipelineSinks {
  const problems: string[] = [];
  const processors: SinkProcessor[] = [];
  const resting: { name: string; missing: readonly string[] }[] = [];
  for (const { name, declaration } of declaredSinks(pipeline)) {
    const blanks = new Blanks(environment);
    const sink = sinkOf(declaration, blanks, (problem) =>
      problems.push(`sink ${name}: ${problem}`),
    );
    const { missing } = blanks;
    if (missing.length === 0) {
      if (sink !== undefined) processors.push({ name, topic: name, sink });
    } else if ('optional' in declaration && declaration.optional === true) {
      resting.push({ name, missing });
    } else {
      problems.push(...missing.map((each) => `${each}: not set, expected by sink ${name}`));
    }
  }
  if (problems.length > 0) throw new MillraceError('config_invalid', { problems });
  return { processors, resting };
}

/** One line each. */
export function warnOfResting({ resting }: PipelineSinks, logger: Pick<Logger, 'warn'>): void {
  for (const { name, missing } of resting)
    logger.warn({ sink: name, missing }, 'an optional sink rests: the environment lacks variables');
}

function declaredSinks(
  pipeline: Pipeline,
): readonly Readonly<{ name: string; declaration: SinkDeclaration }>[] {
  return pipeline.processors.flatMap((processor) =>
    'nodes' in processor
      ? processor.nodes.flatMap(({ id, sink }) =>
          sink === undefined ? [] : [{ name: sinkName(processor.name, id), declaration: sink }],
        )
      : [],
  );
}

function sinkOf(
  declaration: SinkDeclaration,
  blanks: Blanks,
  refuse: (problem: string) => void,
): Sink | undefined {
  if ('open' in declaration) return declaration;
  return declaration.kind === 'postgres table'
    ? tableSink(declaration, blanks, refuse)
    : webhookSink(declaration, blanks, refuse);
}

function tableSink(
  { url, table, key, columns, create }: PostgresTableDeclaration,
  blanks: Blanks,
  refuse: (problem: string) => void,
): Sink | undefined {
  const filled = blanks.fillUrl(url);
  if (blanks.missing.length > 0) return undefined;
  const connection = parsePostgresUrl(filled);
  if (typeof connection === 'string') {
    refuse(connection);
    return undefined;
  }
  return new TableSink({
    connection,
    table,
    key,
    columns,
    ...(create !== undefined && { create }),
  });
}

function webhookSink(
  { url, headers = {}, authorization, timeoutMs = WEBHOOK_TIMEOUT_MS }: WebhookDeclaration,
  blanks: Blanks,
  refuse: (problem: string) => void,
): Sink | undefined {
  const filled = blanks.fillUrl(url);
  const all = { ...headers, ...(authorization !== undefined && { authorization }) };
  const sent = Object.fromEntries(
    Object.entries(all).map(([name, value]) => [name.toLowerCase(), blanks.fill(value)]),
  );
  if (blanks.missing.length > 0) return undefined;
  const address = parseWebhookUrl(filled);
  if (typeof address === 'string') {
    refuse(address);
    return undefined;
  }
  const wrong = Object.keys(sent).filter((name) => !isHeader(name, sent[name] ?? ''));
  if (wrong.length > 0) {
    refuse(`expected headers of HTTP, found ${wrong.join(', ')} with a name or value that is none`);
    return undefined;
  }
  return new WebhookSink({
    address,
    headers: sent,
    timeoutMs,
    clock: systemClock,
    random: Math.random,
  });
}

function isHeader(name: string, value: string): boolean {
  try {
    return new Headers({ [name]: value }).has(name);
  } catch {
    return false;
  }
}

const BLANK = /\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** Fills in `${env:NAME}`, and keeps account of what is missing; an empty value counts as unset. */
class Blanks {
  readonly missing: string[] = [];
  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  fill(text: string, encode: (value: string) => string = (value) => value): string {
    return text.replaceAll(BLANK, (_, name: string) => {
      const value = this.#environment[name]?.trim() ?? '';
      if (value === '' && !this.missing.includes(name)) this.missing.push(name);
      return encode(value);
    });
  }

  /** A value that is part of an address may hold any character; one that is all of it is an address. */
  fillUrl(text: string): string {
    const isWhole = text.replace(BLANK, '') === '';
    return isWhole ? this.fill(text) : this.fill(text, encodeURIComponent);
  }
}
