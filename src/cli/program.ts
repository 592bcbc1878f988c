import { Command } from 'commander';
import { VERSION } from '../app/version.ts';
import { atCommand } from './commands/at.ts';
import { captureCommand } from './commands/capture.ts';
import { completionCommand } from './commands/completion.ts';
import { connectorCommand } from './commands/connector.ts';
import { consumeCommand } from './commands/consume.ts';
import { dlqCommand } from './commands/dlq.ts';
import { doctorCommand } from './commands/doctor.ts';
import { downCommand } from './commands/down.ts';
import { generateCommand } from './commands/generate.ts';
import { historyCommand } from './commands/history.ts';
import { initCommand } from './commands/init.ts';
import { lakeCommand } from './commands/lake.ts';
import { lineageCommand } from './commands/lineage.ts';
import { logsCommand } from './commands/logs.ts';
import { modelCommand } from './commands/model.ts';
import { psqlCommand } from './commands/psql.ts';
import { reconcileCommand } from './commands/reconcile.ts';
import { queryCommand } from './commands/query.ts';
import { replayCommand } from './commands/replay.ts';
import { resetCommand } from './commands/reset.ts';
import { runCommand } from './commands/run.ts';
import { sqlCommand } from './commands/sql.ts';
import { statusCommand } from './commands/status.ts';
import { storeCommand } from './commands/store.ts';
import { topicsCommand } from './commands/topics.ts';
import { topologyCommand } from './commands/topology.ts';
import { typegenCommand } from './commands/typegen.ts';
import { upCommand } from './commands/up.ts';
import type { Context } from './context.ts';
import { withExamples } from './examples.ts';

/** The whole command line. Parsing throws a CommanderError where commander would end the process. */
export function createProgram(context: Context): Command {
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
  const commands = [
    upCommand(context),
    downCommand(context),
    statusCommand(context),
    doctorCommand(context),
    captureCommand(context),
    runCommand(context),
    connectorCommand(context),
    topicsCommand(context),
    consumeCommand(context),
    storeCommand(context),
    generateCommand(context),
    reconcileCommand(context),
    dlqCommand(context),
    lakeCommand(context),
    historyCommand(context),
    atCommand(context),
    modelCommand(context),
    topologyCommand(context),
    queryCommand(context),
    sqlCommand(context),
    lineageCommand(context),
    replayCommand(context),
    initCommand(context),
    typegenCommand(context),
    psqlCommand(context),
    logsCommand(context),
    resetCommand(context),
    completionCommand(context, program),
  ];
  for (const command of commands) program.addCommand(command);
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

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}
