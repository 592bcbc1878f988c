import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Command } from 'commander';
import type { SourceAddress } from '../../app/operations/operations.ts';
import { findSource } from '../../app/operations/find-source.ts';
import { withoutPassword } from '../address.ts';
import { dataDirOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';

export function psqlCommand(context: Context): Command {
  const command = new Command('psql')
    .description('open the source database with psql, or print how to connect without it')
    .argument('[arguments...]', 'passed on to psql; after -- also those that millrace knows')
    .allowUnknownOption()
    .action(async (args: string[]) => {
      const dataDir = dataDirOf(context, command);
      const place = { dataDir, env: context.environment() };
      const source = await findSource(place, context.signal);
      if (source === undefined) return;
      const exitCode = await runPsql(source, args, context);
      if (exitCode === undefined) await context.terminal.printAll(howToConnect(source, dataDir));
      else if (exitCode !== 0) context.foundFailure();
    });
  return withExamples(
    command,
    'millrace psql',
    "millrace psql -c 'select count(*) from orders'",
    'millrace psql -- --help',
  );
}

/** Undefined when psql is not installed. The password goes by the environment: arguments are seen by all users. */
async function runPsql(
  { host, port, user, database, password }: SourceAddress,
  args: readonly string[],
  { environment, leaveInterruptsToChild }: Context,
): Promise<number | undefined> {
  leaveInterruptsToChild();
  const child = spawn(
    'psql',
    ['-h', host, '-p', String(port), '-U', user, '-d', database, ...args],
    {
      stdio: 'inherit',
      env: { ...environment(), ...(password === undefined ? {} : { PGPASSWORD: password }) },
    },
  );
  try {
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    return exitCode ?? 1;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function howToConnect({ kind, url }: SourceAddress, dataDir: string): string[] {
  return [
    'psql is not installed; any PostgreSQL client connects to',
    `  ${withoutPassword(url)}`,
    kind === 'embedded'
      ? `with the password in ${join(dataDir, 'postgres', 'postgres.json')}.`
      : 'with the password in POSTGRES_PASSWORD.',
  ];
}
