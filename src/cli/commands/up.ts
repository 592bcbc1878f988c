import { Command } from 'commander';
import { runDetached } from '../../app/roles/detach.ts';
import { runUp } from '../../app/roles/up.ts';
import { dataDirOf, pipelineDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { UpProgress } from '../progress.ts';

const HINT = 'Ctrl-C stops it; in another terminal: npx millrace status';
const DETACHED_HINT = '`millrace status` shows it, `millrace down` stops it.';

type UpFlags = Readonly<{ detach?: true; demo?: true; generator: boolean; adoptSlot?: true }>;

export function upCommand(context: Context): Command {
  const command = new Command('up')
    .description(
      'run everything: PostgreSQL (embedded or yours), capture, log, processors, store, lake, models',
    )
    .option('--detach', 'run in the background, once all is up; stop it with `millrace down`')
    .option('--demo', "create the pipeline's tables and rows on a server of your own too")
    .option('--no-generator', 'insert no demonstration rows')
    .option('--adopt-slot', 'take over a slot that exists, from its confirmed position')
    .action(async (flags: UpFlags) => {
      const { terminal, signal } = context;
      const progress = new UpProgress(terminal, flags.detach ? DETACHED_HINT : HINT, Date.now);
      const options = {
        dataDir: dataDirOf(context, command),
        pipelineDir: pipelineDirOf(context, command),
        env: context.environment(),
        demo: flags.demo ?? false,
        generate: flags.generator,
        adoptSlot: flags.adoptSlot ?? false,
      };
      if (flags.detach !== true) context.runsUntilTold();
      const run = flags.detach ? runDetached : runUp;
      await run(options, progress.show, signal);
    });
  return withExamples(
    command,
    'millrace up',
    'millrace up --detach --data-dir /var/lib/shop',
    'POSTGRES_HOST=db.example.com millrace up --pipeline ./my-pipeline',
  );
}
