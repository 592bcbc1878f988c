import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import {
  type CommandPlace,
  lakeDirOf,
  refuseFailed,
  runAndServe,
} from '../../app/batch/run-models-command.ts';
import type { RunReport } from '../../app/batch/run-models.ts';
import { type Context, dataDirOf, pipelineDirOf, placeOf } from '../context.ts';
import { withExamples } from '../examples.ts';
import { ModelProgress } from '../model-progress.ts';
import { pathFromHere } from '../path-from-here.ts';
import { formatDuration } from '../units.ts';

type RunOptions = Readonly<{
  exclude?: string[];
  fullRefresh?: true;
  var?: Readonly<Record<string, VariableValue>>;
  test: boolean;
  json?: true;
}>;

type VariableValue = string | number | boolean;

export function modelRunCommand(context: Context): Command {
  const command = new Command('run')
    .description('make models, ask their tests and serve the results; exit 1 when one failed')
    .argument(
      '[selection...]',
      'name, +name, name+, tag:name, path:folder, source:table+; default: all',
    )
    .option('--exclude <selection...>', 'leave these out')
    .option('--full-refresh', 'make incremental models as a whole')
    .option('--var <name=value>', 'the value of a variable; may be given again', parseVariable)
    .option('--no-test', 'make them without asking their tests')
    .option('--json', 'print one JSON object: what became of each model and test')
    .action(async (select: string[], options: RunOptions) => {
      const { terminal, signal } = context;
      const place = commandPlaceOf(context, command);
      const pathOf = lakePaths(context, place);
      const progress = new ModelProgress(terminal, { showsPassed: false, pathOf });
      try {
        const { report, keys } = await runAndServe(place, {
          select,
          exclude: options.exclude ?? [],
          tests: options.test ? 'after' : 'none',
          fullRefresh: options.fullRefresh ?? false,
          variables: options.var ?? {},
          onWarning: (text) => terminal.note(text),
          onEvent: options.json ? () => {} : progress.show,
          signal,
        });
        progress.end();
        if (options.json) await terminal.printJson({ ...report, keys });
        else await terminal.print(summary(report, keys));
        refuseFailed(report);
      } finally {
        progress.end();
      }
    });
  return withExamples(
    command,
    'millrace model run',
    'millrace model run +customer_segments',
    'millrace model run tag:daily --exclude order_analytics --full-refresh',
    'millrace model run --var min_orders=3 --json',
  );
}

export function commandPlaceOf(context: Context, command: Command): CommandPlace {
  return {
    models: {
      dataDir: dataDirOf(context, command),
      pipelineDir: pipelineDirOf(context, command),
      env: context.environment(),
    },
    operations: placeOf(context, command),
  };
}

/** What files of the lake are called where the command was started. */
export function lakePaths({ cwd }: Context, { models }: CommandPlace): (file: string) => string {
  const lake = lakeDirOf(models);
  return (file) => pathFromHere(cwd, join(lake, file));
}

/** Numbers, true and false are what they look like; in quotes, and else, they are text. */
export function parseVariable(
  given: string,
  before: Readonly<Record<string, VariableValue>> = {},
): Readonly<Record<string, VariableValue>> {
  const [, name, text] = /^([A-Za-z_]\w*)=([^]*)$/.exec(given) ?? [];
  if (name === undefined || text === undefined)
    throw new InvalidArgumentError('Expected name=value.');
  return { ...before, [name]: valueOf(text) };
}

function valueOf(text: string): VariableValue {
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^-?(0|[1-9]\d{0,14})(\.\d+)?$/.test(text)) return Number(text);
  return /^(['"])([^]*)\1$/.exec(text)?.[2] ?? text;
}

function summary(
  { models, tests, seconds, dropped = [] }: RunReport,
  keys: readonly string[],
): string {
  const count = (all: readonly Readonly<{ outcome: string }>[], outcome: string) =>
    all.filter((each) => each.outcome === outcome).length;
  const failing = tests.filter(({ outcome }) => outcome === 'failed' || outcome === 'error');
  const warned = failing.filter(({ severity }) => severity === 'warn').length;
  const parts = [
    [count(models, 'done'), 'made'],
    [count(models, 'failed'), 'failed'],
    [count(models, 'skipped'), 'skipped'],
    [count(models, 'waiting'), 'waiting'],
    [count(tests, 'passed'), 'test passed', 'tests passed'],
    [warned, 'test warned', 'tests warned'],
    [failing.length - warned, 'test failed', 'tests failed'],
    [count(tests, 'skipped'), 'test skipped', 'tests skipped'],
    [count(tests, 'waiting'), 'test waiting', 'tests waiting'],
    [keys.length, 'key served', 'keys served'],
    [dropped.length, 'deleted model dropped', 'deleted models dropped'],
  ] as const;
  const told = parts.flatMap(([number, one, many = one]) =>
    number === 0 ? [] : `${number} ${number === 1 ? one : many}`,
  );
  return `Models in ${formatDuration(seconds * 1000)}: ${told.join(', ') || 'none'}.`;
}
