import { Command } from 'commander';
import { refuseFailed, testModels, type TestedModels } from '../../app/batch/run-models-command.ts';
import type { UnitTestReport } from '../../app/batch/run-models.ts';
import { counted } from '../../lib/counted.ts';
import type { Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { ModelProgress, testLine } from '../model-progress.ts';
import { formatTable } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { commandPlaceOf, lakePaths, parseVariable } from './model-run.ts';

type TestOptions = Readonly<{
  exclude?: string[];
  unit?: true;
  var?: ReturnType<typeof parseVariable>;
  json?: true;
}>;

export function modelTestCommand(context: Context): Command {
  const command = new Command('test')
    .description(
      'run the unit tests of models, then ask the data tests of their last results; exit 1 when one failed',
    )
    .argument(
      '[selection...]',
      'name, +name, name+, tag:name, path:folder, source:table+; default: all',
    )
    .option('--exclude <selection...>', 'leave these out')
    .option('--unit', 'unit tests alone: nothing of the lake is read')
    .option('--var <name=value>', 'the value of a variable; may be given again', parseVariable)
    .option('--json', 'print one JSON object: what each test said')
    .action(async (select: string[], options: TestOptions) => {
      const { terminal, signal } = context;
      const { json } = options;
      const place = commandPlaceOf(context, command);
      const pathOf = lakePaths(context, place);
      const progress = new ModelProgress(terminal, { showsPassed: true, pathOf });
      try {
        const tested = await testModels(place.models, {
          select,
          exclude: options.exclude ?? [],
          unitOnly: options.unit ?? false,
          variables: options.var ?? {},
          onUnitTest: (report) => {
            if (!json) for (const line of unitLines(report, terminal)) terminal.show(line);
          },
          onEvent: json ? () => {} : progress.show,
          signal,
        });
        progress.end();
        if (json) await terminal.printJson(tested);
        else await terminal.printAll([...failureLines(tested, terminal, pathOf), summary(tested)]);
        refuseFailed(tested.data, tested.unit);
      } finally {
        progress.end();
      }
    });
  return withExamples(
    command,
    'millrace model test',
    'millrace model test customer_segments --unit',
    'millrace model test tag:daily --json',
  );
}

function unitLines(report: UnitTestReport, { colours }: Terminal): string[] {
  const { name, model, file, line } = report;
  const told = `${model}: ${name}`;
  switch (report.outcome) {
    case 'passed':
      return [`${colours.green('PASS')}  ${told} in ${report.seconds.toFixed(2)} s`];
    case 'failed':
      return [
        `${colours.red('FAIL ')} ${told} … ${file}:${line}`,
        ...report.differences.map((each) => `        ${each}`),
      ];
    case 'error':
      return [`${colours.red('FAIL ')} ${told} … ${file}:${line}`, `        ${report.problem}`];
    default:
      return report satisfies never;
  }
}

/** The first rows that should not be, below the test that found them. */
function failureLines(
  { data, firstRows }: TestedModels,
  { colours }: Terminal,
  pathOf: (file: string) => string,
): string[] {
  return (data?.tests ?? []).flatMap((test) => {
    const found = firstRows[test.name];
    if (found === undefined) return [];
    const table = formatTable(
      found.columns.map(({ name }) => ({ title: name })),
      found.rows.map((row) => row.map(cell)),
    );
    return ['', testLine(test, colours, pathOf), ...table.map((each) => `  ${each}`)];
  });
}

function cell(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function summary({ unit, data }: TestedModels): string {
  const all = [...unit, ...(data?.tests ?? [])];
  if (all.length === 0) return 'No tests.';
  const passed = all.filter(({ outcome }) => outcome === 'passed').length;
  const skipped = all.filter(({ outcome }) => outcome === 'skipped').length;
  const waiting = all.filter(({ outcome }) => outcome === 'waiting').length;
  const warned = (data?.tests ?? []).filter(
    ({ severity, outcome }) => severity === 'warn' && (outcome === 'failed' || outcome === 'error'),
  ).length;
  const failed = all.length - passed - skipped - waiting - warned;
  const told = [
    `${passed} of ${counted(all.length, 'test')} passed`,
    ...(warned === 0 ? [] : [`${warned} warned`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(skipped === 0 ? [] : [`${skipped} skipped`]),
    ...(waiting === 0 ? [] : [`${waiting} waiting`]),
  ];
  return `${told.join(', ')}.`;
}
