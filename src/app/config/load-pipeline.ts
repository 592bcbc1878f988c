import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  readConnectorConfig,
  type ConnectorConfig,
  type ConnectorEngine,
} from '../../capture/connector-config.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { Config } from './config.ts';
import { type Environment, VariableReader } from './environment.ts';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import type { Pipeline, PipelineDefinition, Processors } from '../pipeline.ts';

/**
 * Imports `pipeline.ts` (in a package: `pipeline.js`) of a folder; throws `pipeline_invalid`, or
 * `config_invalid` for what its processors take from the environment.
 */
export async function loadPipeline(dir: string, environment: Environment): Promise<Pipeline> {
  const file = ['pipeline.ts', 'pipeline.js']
    .map((name) => resolve(dir, name))
    .find((each) => existsSync(each));
  if (file === undefined)
    throw new MillraceError('pipeline_invalid', { dir, found: 'no pipeline.ts' });
  const module = await importModule(file);
  const { pipeline: definition } = module;
  if (!isDefinition(definition))
    throw new MillraceError('pipeline_invalid', {
      file,
      expected: 'an export `pipeline` with a name and processors, made by definePipeline',
      found: `exports ${Object.keys(module).join(', ') || 'nothing'}`,
    });
  const pipeline = { ...definition, processors: processorsOf(definition, environment) };
  refuseSameNames(pipeline, file);
  return pipeline;
}

/** The pipeline with these processors alone, or all where none is named. */
export function onlyProcessors(pipeline: Pipeline, names: readonly string[]): Pipeline {
  if (names.length === 0) return pipeline;
  const known = pipeline.processors.map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new MillraceError('usage', {
      expected: `a processor of pipeline ${pipeline.name}: ${known.join(', ')}`,
      found: unknown.join(', '),
    });
  const processors = pipeline.processors.filter(({ name }) => names.includes(name));
  return { ...pipeline, processors };
}

/** Reads the connector's file, filled in from the environment and for the server that is used. */
export function readConnector(
  file: string,
  environment: Environment,
  server: ConnectionFacts | undefined,
  engine?: ConnectorEngine,
): ConnectorConfig {
  const variables = server === undefined ? {} : variablesOf(server);
  return readConnectorConfig(parseJsonFile(file), { ...environment, ...variables }, engine);
}

export function connectorFileOf(pipeline: Pipeline, dir: string): string {
  return resolve(dir, pipeline.connector ?? 'connector.json');
}

/** What stands for an embedded server until it runs, so that a faulty file is found before the start. */
export function serverOf(source: Config['source']): ConnectionFacts {
  if (source.kind === 'server') return source.server;
  const { database, user } = source;
  return { host: '127.0.0.1', port: 5432, database, user, password: '' };
}

/** The SQL itself, or the name of a file beside pipeline.ts. */
export function schemaOf({ schema }: Pipeline, dir: string): string | undefined {
  return schema?.endsWith('.sql') ? readFileSync(join(dir, schema), 'utf8') : schema;
}

/** A server as `connector.json` takes it from the environment. */
export function variablesOf({
  host,
  port,
  database,
  user,
  password,
}: ConnectionFacts): Environment {
  return {
    POSTGRES_HOST: host,
    POSTGRES_PORT: String(port),
    POSTGRES_DB: database,
    POSTGRES_USER: user,
    POSTGRES_PASSWORD: password,
  };
}

async function importModule(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new MillraceError('pipeline_invalid', { file, found: String(error) }, error);
  }
}

function isDefinition(value: unknown): value is PipelineDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, processors } = value as Partial<PipelineDefinition>;
  return (
    typeof name === 'string' && (Array.isArray(processors) || typeof processors === 'function')
  );
}

function processorsOf({ processors }: PipelineDefinition, environment: Environment): Processors {
  if (typeof processors !== 'function') return processors;
  const variables = new VariableReader(environment);
  const made = processors(variables);
  const { problems } = variables;
  if (problems.length > 0) throw new MillraceError('config_invalid', { problems });
  return made;
}

function refuseSameNames({ processors }: Pipeline, file: string): void {
  const names = processors.map(({ name }) => name);
  const doubled = names.filter((name, at) => names.indexOf(name) !== at);
  if (doubled.length === 0) return;
  throw new MillraceError('pipeline_invalid', {
    file,
    expected: 'processors of different names',
    found: doubled,
  });
}

function parseJsonFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (error) {
    throw new MillraceError(
      'connector_config_invalid',
      { problems: [`${file}: ${error instanceof Error ? error.message : String(error)}`] },
      error,
    );
  }
}
