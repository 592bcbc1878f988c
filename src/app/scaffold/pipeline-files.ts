import { join } from 'node:path';
import type { DescribedTable } from '../described-tables.ts';
import { importOf, isInCheckout } from './import-of.ts';
import { sampleModel, type SampleModel } from './sample-model.ts';
import { SAMPLE, sampleProcessor, sampleTest } from './sample-processor.ts';
import { literal } from './source-text.ts';
import { namesOf } from './table-names.ts';
import { tablesModule } from './tables-module.ts';

/** What a pipeline's files are made of. */
export type PipelineFacts = Readonly<{
  /** Letters, digits and dashes. */
  name: string;
  dir: string;
  /** `connector.json`, as it is written. */
  connector: Readonly<{ name: string; config: Readonly<Record<string, string>> }>;
  placeholder: string;
  tables: readonly DescribedTable[];
  /** The table that the processor reads. */
  sample: DescribedTable;
  /** Undefined: the embedded server. */
  server: Readonly<{ host: string; port: number; database: string; user: string }> | undefined;
}>;

/**
 * The files of a new pipeline, by their paths in its folder; package.json is not among them. In the
 * checkout of this program they are part of it, and need none.
 */
export function pipelineFiles(facts: PipelineFacts): ReadonlyMap<string, string> {
  const { name, dir, connector, placeholder, tables, sample } = facts;
  const millrace = (file: string) => importOf('millrace', join(dir, file));
  const processor = `streams/${SAMPLE}.ts`;
  const processorTest = `streams/${SAMPLE}.test.ts`;
  const sampled = { table: sample, names: namesOf(tables)(sample.schema, sample.name) };
  const testing = importOf('millrace/testing', join(dir, processorTest));
  return new Map([
    ['connector.json', json(connector)],
    ['tables.ts', tablesModule(tables, { millrace: millrace('tables.ts'), placeholder })],
    [processor, sampleProcessor(sampled, millrace(processor))],
    [processorTest, sampleTest(sampled, testing)],
    ...modelFiles(sampleModel(sample)),
    ['pipeline.ts', pipelineModule(name, millrace('pipeline.ts'))],
    ...(isInCheckout(dir) ? [] : [['tsconfig.json', TSCONFIG] as const]),
    ['.gitignore', 'node_modules/\n.millrace/\nmodels-docs/\n.env\n'],
    ['.env.example', environmentExample(facts)],
    ['README.md', readme(facts, commandsIn(dir))],
  ]);
}

function modelFiles(model: SampleModel | undefined): readonly (readonly [string, string])[] {
  if (model === undefined) return [];
  return [
    [`models/${model.name}.sql`, model.sql],
    [`models/${model.name}.test.yaml`, model.test],
  ];
}

/** What a user types in the folder. */
export type Commands = Readonly<Record<'install' | 'start' | 'test' | 'check' | 'typegen', string>>;

const COMMANDS: Commands = {
  install: 'npm install',
  start: 'npm start',
  test: 'npm test',
  check: 'npm run check',
  typegen: 'npm run typegen --',
};

/** There, npm's scripts are those of the checkout. */
const OWN_COMMANDS: Commands = {
  install: 'npm ci',
  start: 'npx millrace up',
  test: 'npx node --test',
  check: 'npm run check',
  typegen: 'npx millrace typegen',
};

export function commandsIn(dir: string): Commands {
  return isInCheckout(dir) ? OWN_COMMANDS : COMMANDS;
}

function pipelineModule(name: string, millrace: string): string {
  return `import { definePipeline } from ${literal(millrace)};
import { changesPerMinute } from './streams/${SAMPLE}.ts';

export const pipeline = definePipeline({
  name: ${literal(name)},
  processors: [changesPerMinute],
});
`;
}

const TSCONFIG = `{
  // Node runs the files as they are; the compiler only checks them.
  "compilerOptions": {
    "target": "es2024",
    "lib": ["es2024", "esnext.disposable"],
    "module": "nodenext",
    "types": ["node"],
    "strict": true,
    "noUncheckedIndexedAccess": true,
    "verbatimModuleSyntax": true,
    "erasableSyntaxOnly": true,
    "allowImportingTsExtensions": true,
    "noEmit": true,
    "skipLibCheck": true
  },
  "exclude": ["node_modules", ".millrace"]
}
`;

function environmentExample({ server }: PipelineFacts): string {
  const { host, port, database, user } = server ?? {
    host: 'localhost',
    port: 5432,
    database: 'source_db',
    user: 'postgres',
  };
  // Unset, the source is the embedded server.
  const hash = server === undefined ? '#' : '';
  return `# Copy to .env. What the environment has wins over this file; what is unset has its default.
${hash}POSTGRES_HOST=${host}
${hash}POSTGRES_PORT=${port}
${hash}POSTGRES_DB=${database}
${hash}POSTGRES_USER=${user}
${hash}POSTGRES_PASSWORD=

# The event log and the store are in .millrace/, unless these name servers.
#KAFKA_BROKER=localhost:9092
#REDIS_HOST=localhost
`;
}

function readme(
  { name, tables, sample, connector }: PipelineFacts,
  { install, start, test, check, typegen }: Commands,
): string {
  const model = sampleModel(sample);
  const ofModel = (text: string) => (model === undefined ? '' : text);
  const list = tables.map((table) => `- \`${table.schema}.${table.name}\`: \`${table.topic}\``);
  return `# ${name}

A pipeline for Millrace: it captures tables of a PostgreSQL database into an event log, and
\`streams/${SAMPLE}.ts\` counts what happens to \`${sample.schema}.${sample.name}\`, minute by minute.${ofModel(' The SQL in\n`models/` is run over a lake of the same tables, which asks nothing of the database.')} It needs Node 24 or newer.

## Run

\`\`\`sh
${install}
cp .env.example .env      # and put the password in
npx millrace doctor       # says what the database needs, and the SQL for it
${start.padEnd(25)} # Ctrl-C stops it; started again, it goes on from there
\`\`\`

In another terminal, once something was written to the table:

\`\`\`sh
npx millrace status
npx millrace store scan 'changes:*'
npx millrace consume ${SAMPLE} --follow
${ofModel(`npx millrace model show ${model?.name}   # once the models have run, which they do each minute\n`)}\`\`\`

The first start copies the tables, then their changes follow. It creates the slot and the publication
\`${connector.config['slot.name']}\`: the server keeps WAL for the slot until \`npx millrace reset --source\` drops both.

## Test

\`\`\`sh
${test.padEnd(25)} # runs the processors on changes that the tests make up: no database, no server
${ofModel('npx millrace model test --unit   # runs the models on rows that their tests make up\n')}${check.padEnd(25)} # the compiler: a misspelt column does not pass
\`\`\`

## Files

- \`connector.json\`: which tables are captured, as Debezium's PostgreSQL connector is configured.
- \`tables.ts\`: the types of their rows. \`npx millrace typegen\` writes it anew when the database has changed;
  \`${typegen} --check\` fails when it should.
- \`streams/\`: the processors, each with its test.
${ofModel('- `models/`: SQL models, each with its unit test. `npx millrace model compile` checks them.\n')}- \`pipeline.ts\`: which of them run.

## Topics

${list.join('\n')}
- \`${SAMPLE}\`: what the processor counted.

## Next

- Change the processor, or add another file to \`streams/\` and to \`pipeline.ts\`; change the model, or add another file to \`models/\`.
- Capture more tables: add them to \`table.include.list\`, and run \`npx millrace typegen\`.
- Keep the log in Kafka and the keys in Redis: see \`.env.example\`.
`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
