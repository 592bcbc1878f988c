import { Command } from 'commander';
import {
  type CompiledProject,
  type ListedModel,
  listModels,
  type ModelsAt,
  printCompiled,
  type Selection,
  showModel,
} from '../../app/batch/model-commands.ts';
import { writeModelDocs } from '../../app/batch/model-docs.ts';
import { counted } from '../../lib/counted.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { type Context, dataDirOf, pipelineDirOf } from '../context.ts';
import { withExamples } from '../examples.ts';
import { pathFromHere } from '../path-from-here.ts';
import { formatTable } from '../table.ts';
import { formatCount } from '../units.ts';
import { modelRunCommand, parseVariable } from './model-run.ts';
import { modelTestCommand } from './model-test.ts';

/** What models are meant: a selection, and what is left out of it. */
type Excluding = Readonly<{ exclude?: string[] }>;

export function modelCommand(context: Context): Command {
  const command = new Command('model')
    .description('list, compile, run and test SQL models over the lake')
    .addCommand(listCommand(context))
    .addCommand(compileCommand(context))
    .addCommand(modelRunCommand(context))
    .addCommand(modelTestCommand(context))
    .addCommand(showCommand(context))
    .addCommand(docsCommand(context));
  return withExamples(command, 'millrace model ls', 'millrace model compile');
}

function listCommand(context: Context): Command {
  const command = new Command('ls')
    .description('list models: how they are kept, what they depend on, when they were last made')
    .argument('[selection...]', SELECTION)
    .option('--exclude <selection...>', 'leave these out')
    .option('--json', 'print one JSON object a model')
    .action(async (select: string[], { exclude = [], json }: Excluding & { json?: true }) => {
      const { terminal } = context;
      const models = await listModels(modelsAt(context, command), { select, exclude });
      if (json) for (const model of models) await terminal.printJson(model);
      else await terminal.printAll(models.length === 0 ? ['No models yet.'] : modelLines(models));
    });
  return withExamples(command, 'millrace model ls', 'millrace model ls tag:daily --json');
}

const SELECTION =
  'name, +name (and what it reads), name+ (and what reads it), tag:name, path:models/folder, source:table+; default: all';

function modelLines(models: readonly ListedModel[]): string[] {
  return formatTable(
    [
      { title: 'MODEL' },
      { title: 'KEPT AS' },
      { title: 'TAGS' },
      { title: 'DEPENDS ON' },
      { title: 'TESTS', align: 'right' },
      { title: 'ROWS', align: 'right' },
      { title: 'LAST MADE' },
    ],
    models.map(
      ({ name, materialization, tags, dependsOn, sources, tests, rowCount, lastBuiltAtMs }) => [
        name,
        materialization,
        tags.join(', '),
        [...dependsOn, ...sources].join(', '),
        String(tests),
        rowCount === undefined ? '' : formatCount(rowCount),
        lastBuiltAtMs === undefined ? 'never' : formatTime(lastBuiltAtMs),
      ],
    ),
  );
}

type CompileOptions = Excluding & Readonly<{ var?: ReturnType<typeof parseVariable>; json?: true }>;

function compileCommand(context: Context): Command {
  const command = new Command('compile')
    .description(
      'check all models before anything runs: syntax, columns, types, and what Spark does otherwise; print the SQL of those named',
    )
    .argument('[selection...]', SELECTION)
    .option('--exclude <selection...>', 'leave these out')
    .option('--var <name=value>', 'the value of a variable; may be given again', parseVariable)
    .option('--json', 'print one JSON object: each model with its columns and its SQL')
    .action(async (select: string[], options: CompileOptions) => {
      const { exclude = [], var: variables = {}, json } = options;
      const { terminal, signal } = context;
      const selection: Selection = { select, exclude };
      const at = modelsAt(context, command);
      const compiled = await printCompiled(at, { ...selection, variables }, signal);
      for (const warning of compiled.warnings) terminal.note(warning);
      if (json) await terminal.printJson(compiled);
      else if (select.length === 0) await terminal.print(summary(compiled));
      else await terminal.printAll(sqlLines(compiled));
    });
  return withExamples(
    command,
    'millrace model compile',
    'millrace model compile customer_segments',
    'millrace model compile tag:daily --json',
  );
}

function summary({ models, tests }: CompiledProject): string {
  if (models.length === 0) return 'No models yet.';
  return `${counted(models.length, 'model')}, ${counted(tests, 'test')}: all well.`;
}

/** SQL that can be run as it is, one model after the other. */
function sqlLines({ models }: CompiledProject): string[] {
  return models.flatMap(({ name, file, sql }, index) => [
    ...(index === 0 ? [] : ['']),
    `-- ${name}, of ${file}`,
    `${sql};`,
  ]);
}

/** Enough to see what a model is like. */
const SHOWN_ROWS = 20;

function showCommand(context: Context): Command {
  const command = new Command('show')
    .description("print the first rows of a model's last result")
    .argument('<name>', 'the model')
    .option('--limit <rows>', `at most so many rows (default: ${SHOWN_ROWS})`, parsePositiveInteger)
    .option('--json', 'print one JSON object: the model, its columns and its rows')
    .action(async (name: string, { limit, json }: { limit?: number; json?: true }) => {
      const { terminal, signal } = context;
      const at = modelsAt(context, command);
      const shown = await showModel(at, name, limit ?? SHOWN_ROWS, signal);
      if (json) {
        await terminal.printJson(shown);
        return;
      }
      const { columns, rows, more } = shown;
      const cells = rows.map((row) => row.map(cell));
      await terminal.printAll(
        formatTable(
          columns.map(({ name: title, type }) => ({
            title,
            align: /^(BIGINT|INTEGER|SMALLINT|FLOAT|DOUBLE|DECIMAL)/.test(type) ? 'right' : 'left',
          })),
          cells,
        ),
      );
      if (more > 0 && limit === undefined)
        terminal.note(`… and ${formatCount(more)} more; --limit for more of them`);
      else if (rows.length === 0) terminal.note('No rows.');
    });
  return withExamples(
    command,
    'millrace model show customer_segments',
    'millrace model show customer_segments --limit 100 --json',
  );
}

function cell(value: unknown): string {
  if (value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function docsCommand(context: Context): Command {
  const command = new Command('docs')
    .description('write one HTML page about the models: graph, columns, tests and SQL')
    .option('--to <folder>', 'where to', 'models-docs')
    .option('--json', 'print the path of the page as a JSON object')
    .action(async ({ to, json }: { to: string; json?: true }) => {
      const { terminal, signal, cwd } = context;
      const { file, models } = await writeModelDocs(
        modelsAt(context, command),
        { to, cwd },
        signal,
      );
      if (json) await terminal.printJson({ file, models });
      else await terminal.print(`Wrote ${pathFromHere(cwd, file)}: ${counted(models, 'model')}.`);
    });
  return withExamples(command, 'millrace model docs', 'millrace model docs --to ./site');
}

function modelsAt(context: Context, command: Command): ModelsAt {
  return {
    dataDir: dataDirOf(context, command),
    pipelineDir: pipelineDirOf(context, command),
    env: context.environment(),
  };
}

/** UTC, to the second. */
function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19);
}
