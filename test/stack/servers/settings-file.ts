import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const DEPLOY = join(import.meta.dirname, '../../../deploy');

/** The text of a file below `deploy/`, with some of its settings replaced, and others added. */
export async function deployed(
  file: string,
  settings: Readonly<Record<string, string>>,
  separator: '=' | ' ' = '=',
): Promise<string> {
  const lines = (await readFile(join(DEPLOY, file), 'utf8')).split('\n');
  const kept = lines.filter((line) => {
    const name = line.split(separator, 1)[0]?.trim() ?? '';
    return !Object.hasOwn(settings, name);
  });
  const added = Object.entries(settings).map(([name, value]) => `${name}${separator}${value}`);
  return [...kept, ...added, ''].join('\n');
}

/** The settings of a file below `deploy/` that writes `name = value`, or `name = 'value'`. */
export async function deployedSettings(file: string): Promise<Record<string, string>> {
  const text = await readFile(join(DEPLOY, file), 'utf8');
  const found = text.matchAll(/^(\w+) = (?:'(.*)'|(\S+))$/gm);
  return Object.fromEntries(Array.from(found, ([, name, quoted, bare]) => [name, quoted ?? bare]));
}
