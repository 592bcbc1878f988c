import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataDirectory, placesIn } from '../../src/app/config/data-directory.ts';
import { temporaryFolder } from '../postgres.ts';
import type { RoundPlan } from './plan.ts';
import { CrashServer } from './server.ts';
import { CRASH_TABLES, crashSchema, SHOP_TABLES } from './tables.ts';

const ROOT = join(import.meta.dirname, '../..');
const SHOP = join(ROOT, 'pipelines/shop');

export const SLOT = 'crash';
export const CONNECTOR = 'crash-connector';
export const TABLES = [...SHOP_TABLES, ...CRASH_TABLES];

/** A folder with all of a round: data directory, pipeline, what the processes printed. */
export type Workplace = Readonly<{
  folder: string;
  dataDir: string;
  pipelineDir: string;
  connectorFile: string;
  printed: string;
  /** Embedded in the data directory, or beside it for a round in which it is the user's own. */
  server: CrashServer;
}>;

export const topicOf = (table: string): string => `dbserver1.public.${table}`;

/** Makes the tables and their first rows; the server is stopped again. */
export async function makeWorkplace(
  { copiedRows, partitions }: RoundPlan,
  isEmbedded: boolean,
): Promise<Workplace> {
  const folder = await temporaryFolder('millrace-crash-');
  const dataDir = join(folder, 'data');
  const pipelineDir = join(folder, 'pipeline');
  (await DataDirectory.open(dataDir, 'a crash test'))[Symbol.dispose]();
  await mkdir(pipelineDir);
  await writeFile(join(pipelineDir, 'pipeline.ts'), pipelineText(isEmbedded ? partitions : 1));
  const connectorFile = join(pipelineDir, 'connector.json');
  await writeFile(connectorFile, await connectorText());
  const server = new CrashServer(
    isEmbedded ? placesIn(dataDir).postgres : join(folder, 'postgres'),
    join(folder, 'postgres.log'),
  );
  await server.start();
  await server.query(await readFile(join(SHOP, 'schema.sql'), 'utf8'));
  await server.query(crashSchema(copiedRows));
  await server.stop();
  return {
    folder,
    dataDir,
    pipelineDir,
    connectorFile,
    printed: join(folder, 'printed.log'),
    server,
  };
}

/** The shop with our tables beside its own; of a log that `capture` made, topics have one partition. */
function pipelineText(partitions: number): string {
  const topic = JSON.stringify(topicOf('crash_rows'));
  return `import { definePipeline } from ${JSON.stringify(join(ROOT, 'src/index.ts'))};
import { pipeline as shop, shopProcessors } from ${JSON.stringify(join(SHOP, 'pipeline.ts'))};
import { crashAnalytics } from ${JSON.stringify(join(import.meta.dirname, 'analytics.ts'))};
const { schema, ...rest } = shop;
export const pipeline = definePipeline({
  ...rest,
  models: ${JSON.stringify(join(SHOP, 'models'))},
  processors: (variables) => [...shopProcessors(variables), crashAnalytics('crashRows')],
  partitions: { ${topic}: ${partitions} },
});
`;
}

/** Small chunks make the rest of an interrupted copy last. */
async function connectorText(): Promise<string> {
  const { config } = JSON.parse(await readFile(join(SHOP, 'connector.json'), 'utf8')) as {
    config: Record<string, string>;
  };
  return JSON.stringify({
    name: CONNECTOR,
    config: {
      ...config,
      'slot.name': SLOT,
      'publication.name': SLOT,
      'table.include.list': TABLES.map(({ name }) => `public.${name}`).join(','),
      'incremental.snapshot.chunk.size': '1000',
    },
  });
}
