import { resolve } from 'node:path';
import { Command } from 'commander';
import { runCapture } from '../../app/roles/run-capture.ts';
import { parseDuration } from '../arguments.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { UpProgress } from '../progress.ts';

type CaptureFlags = Readonly<{ connector: string; untilIdle?: number; adoptSlot?: true }>;

export function captureCommand(context: Context): Command {
  const command = new Command('capture')
    .description("run the connector alone, into the data directory's log")
    .requiredOption('--connector <file>', "the connector's configuration, in Debezium's form")
    .option(
      '--until-idle <duration>',
      'stop after so long without a change, such as 5s, once the end of the WAL is reached',
      parseDuration,
    )
    .option('--adopt-slot', 'take over a slot that exists, from its confirmed position')
    .action(async (flags: CaptureFlags) => {
      const { terminal, signal, cwd } = context;
      if (flags.untilIdle === undefined) context.runsUntilTold();
      const progress = new UpProgress(terminal, 'Ctrl-C stops it.', Date.now);
      await runCapture(
        {
          dataDir: dataDirOf(context, command),
          connectorFile: resolve(cwd, flags.connector),
          env: context.environment(),
          adoptSlot: flags.adoptSlot ?? false,
          ...(flags.untilIdle === undefined ? {} : { untilIdleMs: flags.untilIdle }),
        },
        progress.show,
        signal,
      );
    });
  return withExamples(
    command,
    'millrace capture --connector connector.json --until-idle 5s',
    'POSTGRES_HOST=localhost millrace capture --connector connector.json',
  );
}
