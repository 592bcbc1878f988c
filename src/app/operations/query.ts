import { MillraceError } from '../../domain/errors.ts';
import { StateReader } from '../../stream/queries/state-reader.ts';
import { loadState } from '../../stream/rebuild/generation-state.ts';
import { codesOf } from '../compose.ts';
import type { Pipeline } from '../pipeline.ts';
import { type OperationContext, runningIn, storeIn } from './operation-context.ts';
import type { KeptAnswer, QueryArguments } from './operations.ts';

/** What an operator of a topology keeps; without an operator, which of them may be asked. */
export async function* query(
  { processor, operator, key, fromMs, toMs, prefix, limit }: QueryArguments,
  context: OperationContext,
): AsyncGenerator<KeptAnswer, void> {
  const reader = await readerOf(context, processor);
  if (operator === undefined) {
    for (const each of reader.operators) yield { kind: 'operator', ...each };
    return;
  }
  const found = reader.operators.find((each) => each.operator === operator);
  const range = { ...(limit !== undefined && { limit }) };
  if (found?.keeps === 'windows') {
    const between = {
      ...range,
      ...(fromMs !== undefined && { fromMs }),
      ...(toMs !== undefined && { toMs }),
    };
    const keys = key === undefined ? [undefined] : keysIn(key, undefined);
    for (const each of keys) {
      const asked = { ...between, ...(each !== undefined && { key: each }) };
      for (const window of await reader.windows(operator, asked))
        yield { kind: 'window', ...window };
    }
    return;
  }
  const before = prefix === undefined ? {} : { prefix };
  if (key === undefined) {
    for (const entry of await reader.entries(operator, { ...range, ...before }))
      yield { kind: 'value', ...entry };
    return;
  }
  const [any] = await reader.entries(operator, { limit: 1 });
  for (const each of keysIn(key, any?.key)) {
    const value = await reader.get(operator, each);
    if (value === undefined) continue;
    yield { kind: 'value', key: each, value };
    return;
  }
}

/** What a key may be that is written so: JSON, text, or, where keys are of one column, its value. */
function keysIn(text: string, like: unknown): readonly unknown[] {
  const keys: unknown[] = [text];
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed !== text) keys.unshift(parsed);
  } catch {
    // It is a text.
  }
  const columns = typeof like === 'object' && like !== null ? Object.keys(like) : [];
  const [column] = columns;
  if (column === undefined || columns.length > 1) return keys;
  return [...keys, ...keys.map((key) => ({ [column]: key }))];
}

/** Of the generation that is served. */
async function readerOf(context: OperationContext, name: string): Promise<StateReader> {
  const { pipeline } = runningIn(context);
  const store = storeIn(context);
  const { current } = (await loadState(store, name)).state;
  for (const codeOf of codesOf(pipeline)) {
    const code = codeOf(current);
    if ('stages' in code && code.topology.name === name) return new StateReader(store, code);
  }
  throw new MillraceError('usage', {
    expected: `a topology of pipeline ${pipeline.name}: ${topologiesIn(pipeline)}`,
    found: name,
  });
}

function topologiesIn({ processors }: Pipeline): string {
  const names = processors.flatMap((each) => ('nodes' in each ? [each.name] : []));
  return names.length === 0 ? 'it has none' : names.join(', ');
}
