/**
 * Where a record failed: made into a change, asked for its state keys, processed, or taken by a sink.
 * `timer`: what time had made due failed, and no record is to blame.
 */
export type FailureStage = 'decode' | 'reads' | 'process' | 'sink' | 'timer';

/** Why a record was not taken into account. */
export type Failure = Readonly<{
  stage: FailureStage;
  /** The operator of a topology that failed. */
  step?: string;
  /** The error's class, and its code where it has one. */
  name: string;
  message: string;
  stack: string;
}>;

export function failureOf(stage: FailureStage, error: unknown): Failure {
  if (!(error instanceof Error)) {
    return { stage, name: typeof error, message: String(error), stack: '' };
  }
  return { stage, name: error.name, message: error.message, stack: error.stack ?? '' };
}
