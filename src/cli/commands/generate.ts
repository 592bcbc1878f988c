import { Command, Option } from 'commander';
import { runGenerate } from '../../app/operations/generate.ts';
import { counted } from '../../lib/counted.ts';
import { parseInteger, parsePositiveInteger } from '../arguments.ts';
import { dataDirOf, pipelineDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { formatDuration, formatRate } from '../units.ts';

type GenerateFlags = Readonly<{
  rate?: number;
  batches?: number;
  once?: true;
  seed?: number;
  demo?: true;
}>;

export function generateCommand(context: Context): Command {
  const command = new Command('generate')
    .description('insert demonstration rows into the source')
    .option('--rate <rows>', 'rows a second, without a pause between batches', parsePositiveInteger)
    .option('--batches <count>', 'stop after so many batches', parsePositiveInteger)
    .addOption(new Option('--once', 'one batch').conflicts('batches'))
    .option('--seed <number>', 'the same seed gives the same rows (default: drawn)', parseInteger)
    .option('--demo', 'insert them into a server of your own too')
    .action(async (flags: GenerateFlags) => {
      const { terminal, signal } = context;
      const batches = flags.once ? 1 : flags.batches;
      if (batches === undefined) context.runsUntilTold();
      const startedMs = performance.now();
      let rows = 0;
      await runGenerate(
        {
          dataDir: dataDirOf(context, command),
          pipelineDir: pipelineDirOf(context, command),
          env: context.environment(),
          demo: flags.demo ?? false,
          seed: flags.seed ?? Math.floor(Math.random() * 2 ** 31),
          ...(flags.rate === undefined ? {} : { rate: flags.rate }),
          ...(batches === undefined ? {} : { batches }),
        },
        (more: number) => {
          rows += more;
        },
        signal,
      );
      const tookMs = performance.now() - startedMs;
      await terminal.print(
        `${counted(rows, 'row')} in ${formatDuration(tookMs)} (${formatRate((rows / tookMs) * 1000)})`,
      );
    });
  return withExamples(
    command,
    'millrace generate --once --seed 7',
    'millrace generate --rate 1000 --batches 50',
  );
}
