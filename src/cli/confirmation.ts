import { createInterface } from 'node:readline/promises';
import { MillraceError } from '../domain/errors.ts';
import type { Context } from './context.ts';

/** Asks a person, yes or no. Throws `usage` where nobody can be asked. */
export async function confirmed(question: string, { terminal, signal }: Context): Promise<boolean> {
  if (!terminal.isTty || !process.stdin.isTTY) {
    throw new MillraceError('usage', { expected: '--yes where nobody can be asked' });
  }
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    prompt.close();
  }
}
