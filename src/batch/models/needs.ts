import type { Model } from './model.ts';
import { parseTemplate, tagsOf } from './template.ts';

/** Something that must be there when a model runs, at its line of the file. */
export type Need = Readonly<{ line: number }> &
  (Readonly<{ source: string }> | Readonly<{ variable: string }>);

/** The tables that a model and its tests name, and the variables that have no default. */
export function needsOf({ sql, line, header }: Model): readonly Need[] {
  const ofTests = header.tests.flatMap((test): readonly Need[] => {
    if (test.kind === 'sql') return needsIn(test.sql, test.line);
    if (test.kind === 'expression') return needsIn(test.expression, test.line);
    return test.kind === 'relationships' && 'source' in test.to
      ? [{ source: test.to.source, line: test.line }]
      : [];
  });
  return [...needsIn(sql, line), ...ofTests];
}

function needsIn(sql: string, firstLine: number): readonly Need[] {
  return tagsOf(parseTemplate(sql, firstLine).template).flatMap((tag): readonly Need[] => {
    const { line } = tag;
    if (tag.kind === 'source') return [{ source: tag.source, line }];
    return tag.kind === 'var' && tag.fallback === undefined ? [{ variable: tag.name, line }] : [];
  });
}
