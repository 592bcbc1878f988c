import { Command } from 'commander';
import type { Role } from '../../app/roles/launch.ts';
import { runRole } from '../../app/roles/run-role.ts';
import { parsePositiveInteger } from '../arguments.ts';
import { pipelineDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

/** The roles as processes of their own, on servers that they share: for more than one machine. */
export function runCommand(context: Context): Command {
  const command = new Command('run').description(
    'run one role as a process of its own, on Kafka and Redis; it logs JSON lines',
  );
  const run = (own: Command, role: Role): Promise<void> => {
    const options = { pipelineDir: pipelineDirOf(context, own), env: context.environment() };
    context.runsUntilTold();
    return runRole(role, options, context.signal);
  };
  command.addCommand(captureRole(run));
  command.addCommand(streamRole(run));
  command.addCommand(batchRole(run));
  command.addCommand(generatorRole(run));
  return withExamples(command, 'millrace run stream', 'millrace run capture --help');
}

type Run = (command: Command, role: Role) => Promise<void>;

function captureRole(run: Run): Command {
  const command = new Command('capture')
    .description('carry the changes of PostgreSQL into Kafka (one process a connector)')
    .option('--adopt-slot', 'take over a slot that exists, from its confirmed position')
    .action((flags: Readonly<{ adoptSlot?: true }>) =>
      run(command, { role: 'capture', adoptSlot: flags.adoptSlot ?? false }),
    );
  return withExamples(
    command,
    'POSTGRES_HOST=db KAFKA_BROKER=kafka:9092 millrace run capture',
    'MILLRACE_CONNECT_URL=http://connect:8083 millrace run capture',
  );
}

function streamRole(run: Run): Command {
  const command = new Command('stream')
    .description('run processors; any number of such processes share the partitions')
    .option('--processor <name...>', 'only these processors of the pipeline')
    .action((flags: Readonly<{ processor?: string[] }>) =>
      run(command, { role: 'stream', processors: flags.processor ?? [] }),
    );
  return withExamples(
    command,
    'KAFKA_BROKER=kafka:9092 REDIS_HOST=redis millrace run stream --processor cdc-processor',
  );
}

function batchRole(run: Run): Command {
  const command = new Command('batch')
    .description('write the lake, and run the models over it (one process a lake)')
    .action(() => run(command, { role: 'batch' }));
  return withExamples(
    command,
    'KAFKA_BROKER=kafka:9092 REDIS_HOST=redis POSTGRES_HOST=db MILLRACE_LAKE=/lake millrace run batch',
  );
}

function generatorRole(run: Run): Command {
  const command = new Command('generator')
    .description('insert demonstration rows, once the tables are copied')
    .option('--demo', "create the pipeline's tables and rows on your server: without it, nothing")
    .option('--rate <rows>', 'rows a second, without a pause between batches', parsePositiveInteger)
    .action((flags: Readonly<{ demo?: true; rate?: number }>) =>
      run(command, {
        role: 'generator',
        demo: flags.demo ?? false,
        ...(flags.rate !== undefined && { rate: flags.rate }),
      }),
    );
  return withExamples(
    command,
    'POSTGRES_HOST=db KAFKA_BROKER=kafka:9092 millrace run generator --demo',
  );
}
