import type { StepResult } from '../../ports/warehouse.ts';
import type { Model } from '../models/model.ts';
import type { SourceTable } from '../models/source-table.ts';
import { toldProblem } from '../models/told-problem.ts';
import { affectedRelation } from './incremental.ts';
import type { RunPlan } from './plan.ts';

/** Gives results of a run's steps in the words that the compiler has for problems of models. */
export function tellSteps(
  { models: planned, tests }: RunPlan,
  known: Readonly<{ models: readonly Model[]; sources: readonly SourceTable[] }>,
): (result: StepResult) => StepResult {
  const modelOf = new Map(planned.map(({ model }) => [affectedRelation(model.name), model]));
  for (const each of planned) if ('step' in each) modelOf.set(each.step, each.model);
  for (const { step, model } of tests) if (step !== undefined) modelOf.set(step, model);
  return (result) => {
    const model = modelOf.get(result.name);
    // What many read, such as a table's rows, is no model's.
    if (result.outcome !== 'failed' || model === undefined) return result;
    return { ...result, problem: toldProblem(result.problem, model, known) };
  };
}
