import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { MillraceError } from '../../domain/errors.ts';
import { connectionOf } from '../compose.ts';
import { readConfig } from '../config/config.ts';
import type { Environment } from '../config/environment.ts';
import { readConnector } from '../config/load-pipeline.ts';
import { embeddedServer } from '../operations/generate.ts';
import { describeTables } from '../described-tables.ts';
import { importOf } from './import-of.ts';
import { tablesModule } from './tables-module.ts';

export type TypegenOptions = Readonly<{
  dataDir: string;
  /** The pipeline's folder. Its pipeline.ts need not be right: it may wait for the types. */
  pipelineDir: string;
  /** The connector's file; resolved against the folder. */
  connector: string;
  env: Environment;
  /** The module to write; resolved against the folder. */
  out: string;
  /** Write nothing, and say whether the file is what would be written. */
  check: boolean;
}>;

export type TypegenOutcome = Readonly<{
  file: string;
  /** As schema.table. */
  tables: readonly string[];
  /** How the file was found, compared with what the database asks for. */
  found: 'same' | 'different' | 'missing';
  /** The first line that differs. */
  difference?: Readonly<{ line: number; expected: string; found: string }>;
}>;

/** Writes the types of the captured tables' rows, as a connector with this connector.json writes them. */
export async function typegen(
  { dataDir, pipelineDir, connector: connectorFile, env, out, check }: TypegenOptions,
  signal: AbortSignal,
): Promise<TypegenOutcome> {
  const file = resolve(pipelineDir, out);
  if (file.includes(`${sep}node_modules${sep}`))
    throw new MillraceError('usage', {
      expected: 'a folder of your own, given with --pipeline',
      found: file,
    });
  const config = readConfig(env, { dataDir });
  const server =
    config.source.kind === 'server' ? config.source.server : await embeddedServer(dataDir, signal);
  const engine = config.connector.kind;
  const connector = readConnector(resolve(pipelineDir, connectorFile), env, server, engine);
  const tables = await describeTables(connectionOf(connector, config.source), connector, engine);
  signal.throwIfAborted();
  const { placeholder } = connector;
  const text = tablesModule(tables, { millrace: importOf('millrace', file), placeholder });
  const present = await textOf(file);
  if (present !== text && !check) await replace(file, text);
  return {
    file,
    tables: tables.map(({ schema, name }) => `${schema}.${name}`),
    ...comparison(text, present),
  };
}

function comparison(
  expected: string,
  found: string | undefined,
): Pick<TypegenOutcome, 'found' | 'difference'> {
  if (found === undefined) return { found: 'missing' };
  if (found === expected) return { found: 'same' };
  const [expectedLines, foundLines] = [expected.split('\n'), found.split('\n')];
  const last = Math.max(expectedLines.length, foundLines.length) - 1;
  let at = 0;
  while (at < last && expectedLines[at] === foundLines[at]) at += 1;
  return {
    found: 'different',
    difference: { line: at + 1, expected: expectedLines[at] ?? '', found: foundLines[at] ?? '' },
  };
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(file, error);
  }
}

/** Whole or not at all: an editor or a compiler may look at any time. */
async function replace(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(draft, text);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw fileError(file, error);
  }
}

function fileError(file: string, error: unknown): MillraceError {
  const found = error instanceof Error ? error.message : String(error);
  return new MillraceError('usage', { expected: 'a file that can be written', file, found }, error);
}
