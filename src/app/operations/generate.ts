import { query } from '../../adapters/postgres/client.ts';
import type { ConnectionFacts } from '../../adapters/postgres/connection.ts';
import { MillraceError } from '../../domain/errors.ts';
import { callOperation } from './call.ts';
import { readConfig } from '../config/config.ts';
import { GeneratorPart } from '../roles/generator-part.ts';
import type { GenerateOptions } from '../roles/launch.ts';
import { loadPipeline, schemaOf } from '../config/load-pipeline.ts';
import type { Pipeline } from '../pipeline.ts';

/** Inserts the pipeline's demonstration rows into the source, until it is done or `signal` aborts. */
export async function runGenerate(
  options: GenerateOptions,
  onRows: (rows: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir, pipelineDir, env, seed, rate, batches } = options;
  const config = readConfig(env, { dataDir });
  const pipeline = await loadPipeline(pipelineDir, env);
  if (pipeline.generate === undefined)
    throw new MillraceError('usage', {
      expected: 'a pipeline with a generator (`generate` in pipeline.ts)',
      found: pipeline.name,
    });
  if (config.source.kind === 'server') {
    if (!options.demo)
      throw new MillraceError('usage', {
        expected: '--demo, to insert rows into a server of your own',
        found: `POSTGRES_HOST ${config.source.server.host}`,
      });
    await applySchema(pipeline, pipelineDir, config.source.server);
  }
  const server =
    config.source.kind === 'server' ? config.source.server : await embeddedServer(dataDir, signal);
  const limits = {
    ...(rate === undefined ? {} : { rate }),
    ...(batches === undefined ? {} : { batches }),
  };
  const generatorOptions = { ...config.generator, seed, ...limits };
  await new GeneratorPart(pipeline.generate, server, generatorOptions, onRows).run(signal);
}

/** Creates the pipeline's tables where they are missing. */
export async function applySchema(
  pipeline: Pipeline,
  pipelineDir: string,
  server: ConnectionFacts,
): Promise<void> {
  const schema = schemaOf(pipeline, pipelineDir);
  if (schema !== undefined) await query(server, schema);
}

/** Where the embedded server of the Millrace that runs on `dataDir` is. */
export async function embeddedServer(
  dataDir: string,
  signal: AbortSignal,
): Promise<ConnectionFacts> {
  for await (const source of callOperation({ dataDir }, 'source', {}, signal)) {
    const { host, port, database, user, password = '' } = source;
    return { host, port, database, user, password };
  }
  throw new MillraceError('not_running', { dir: dataDir });
}
