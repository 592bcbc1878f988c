import { MillraceError } from '../../domain/errors.ts';

/** Something wrong with a model's file, where it stands. */
export type Problem = Readonly<{ file: string; line: number; text: string }>;

export function formatProblem({ file, line, text }: Problem): string {
  return `${file}:${line}: ${text}`;
}

/** Throws `models_invalid` with all of them, by file and line; returns when there are none. */
export function refuse(problems: readonly Problem[]): void {
  if (problems.length === 0) return;
  const lines = problems.toSorted(byPlace).map(formatProblem);
  throw new MillraceError('models_invalid', { problems: [...new Set(lines)] });
}

export function byPlace(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line;
}
