import { Command } from 'commander';
import { VERSION } from '../app/version.ts';
import type { Context } from './context.ts';
import { withExamples } from './examples.ts';

type Make = (context: Context, program: Command) => Command;

/** In the order of the help. Each loads what it needs itself: all together take a quarter of a second. */
const COMMANDS: Readonly<Record<string, () => Promise<Make>>> = {
  up: async () => (await import('./commands/up.ts')).upCommand,
  down: async () => (await import('./commands/down.ts')).downCommand,
  status: async () => (await import('./commands/status.ts')).statusCommand,
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand,
  capture: async () => (await import('./commands/capture.ts')).captureCommand,
  run: async () => (await import('./commands/run.ts')).runCommand,
  connector: async () => (await import('./commands/connector.ts')).connectorCommand,
  topics: async () => (await import('./commands/topics.ts')).topicsCommand,
  consume: async () => (await import('./commands/consume.ts')).consumeCommand,
  store: async () => (await import('./commands/store.ts')).storeCommand,
  generate: async () => (await import('./commands/generate.ts')).generateCommand,
  reconcile: async () => (await import('./commands/reconcile.ts')).reconcileCommand,
  dlq: async () => (await import('./commands/dlq.ts')).dlqCommand,
  lake: async () => (await import('./commands/lake.ts')).lakeCommand,
  history: async () => (await import('./commands/history.ts')).historyCommand,
  at: async () => (await import('./commands/at.ts')).atCommand,
  model: async () => (await import('./commands/model.ts')).modelCommand,
  topology: async () => (await import('./commands/topology.ts')).topologyCommand,
  query: async () => (await import('./commands/query.ts')).queryCommand,
  sql: async () => (await import('./commands/sql.ts')).sqlCommand,
  lineage: async () => (await import('./commands/lineage.ts')).lineageCommand,
  replay: async () => (await import('./commands/replay.ts')).replayCommand,
  init: async () => (await import('./commands/init.ts')).initCommand,
  typegen: async () => (await import('./commands/typegen.ts')).typegenCommand,
  psql: async () => (await import('./commands/psql.ts')).psqlCommand,
  logs: async () => (await import('./commands/logs.ts')).logsCommand,
  reset: async () => (await import('./commands/reset.ts')).resetCommand,
  completion: async () => (await import('./commands/completion.ts')).completionCommand,
};

/**
 * The command line: all of it, or of the commands only the one that `args` run. Parsing throws a
 * CommanderError where commander would end the process.
 */
export async function createProgram(
  context: Context,
  args: readonly string[] = [],
): Promise<Command> {
  const program = new Command('millrace')
    .description('Change data capture, stream processing and SQL models for PostgreSQL.')
    .version(VERSION, '--version', 'print the version')
    .option(
      '--data-dir <folder>',
      'where all data lies (default: MILLRACE_DATA_DIR, else .millrace)',
    )
    .option(
      '--pipeline <folder>',
      'the folder that holds pipeline.ts (default: this folder if it does, else the demonstration shop)',
    )
    .showSuggestionAfterError();
  withExamples(program, 'millrace up', 'millrace status', 'millrace up --help');
  const named = commandIn(args);
  const loads = named === undefined ? Object.values(COMMANDS) : [named];
  for (const make of await Promise.all(loads.map((load) => load())))
    program.addCommand(make(context, program));
  for (const command of [program, ...descendants(program)]) {
    command
      .helpCommand(false)
      .exitOverride()
      .configureHelp({ showGlobalOptions: true })
      .configureOutput({
        // The one printer of errors says it.
        outputError: () => {},
      });
  }
  return program;
}

/** Undefined where help, an error or a script for a shell may tell of all. */
function commandIn(args: readonly string[]): (() => Promise<Make>) | undefined {
  let at = 0;
  while (args[at] === '--data-dir' || args[at] === '--pipeline') at += 2;
  const name = args[at] ?? '';
  return name !== 'completion' && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}
