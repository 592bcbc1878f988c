import { existsSync } from 'node:fs';
import { topicsOf } from '../compose.ts';
import { readConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { connectorFileOf, loadPipeline, readConnector, serverOf } from '../config/load-pipeline.ts';

/**
 * What a reset leaves alone, and the commands that remove it; empty where everything is embedded, and
 * in the data directory.
 *
 * Others may keep things of their own in the same Kafka and the same Redis, or read what this
 * pipeline has put there. So an operator removes it, who knows.
 */
export async function leftOnServers({
  env,
  pipelineDir,
}: Readonly<{ env: Environment; pipelineDir: () => string }>): Promise<readonly string[]> {
  const config = readConfig(env);
  const { log, store } = config;
  const lines: string[] = [];
  if (log.kind === 'kafka') {
    const topics = await topicPattern(env, pipelineDir());
    lines.push(
      'Its topics in Kafka stay. With all roles stopped, and no other pipeline in that Kafka, they are removed by',
      `  kafka-topics.sh --bootstrap-server ${log.brokers.join(',')} --delete --topic '${topics}'`,
    );
  }
  if (store.kind === 'redis')
    lines.push(
      'Its keys in Redis stay. With all roles stopped, and nothing else in that database, they are removed by',
      `  redis-cli -h ${store.host} -p ${store.port} FLUSHDB`,
    );
  if (log.kind === 'kafka' && store.kind === 'redis')
    lines.push('Remove both or neither: tasks keep in Redis how far they have read in Kafka.');
  if (config.lake.isNamed && existsSync(config.lake.dir))
    lines.push(
      `The lake in ${config.lake.dir} stays. A new log does not go on with it; it is removed by`,
      `  rm -r '${config.lake.dir}'`,
    );
  return lines;
}

/** As a regular expression, which is how Kafka's tool takes several. */
async function topicPattern(env: Environment, pipelineDir: string): Promise<string> {
  const config = readConfig(env);
  const pipeline = await loadPipeline(pipelineDir, env);
  const file = connectorFileOf(pipeline, pipelineDir);
  const { topicPrefix } = readConnector(file, env, serverOf(config.source), config.connector.kind);
  const families = [`${topicPrefix}.`, 'millrace.'];
  const others = topicsOf(pipeline)
    .map(({ name }) => name)
    .filter((name) => !families.some((family) => name.startsWith(family)));
  return [...families.map((family) => `${escaped(family)}.*`), ...others.map(escaped)].join('|');
}

function escaped(name: string): string {
  return name.replaceAll('.', String.raw`\.`);
}
