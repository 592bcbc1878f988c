/** Windows that follow each other without a gap, from the epoch on. */
export type TumblingWindow = Readonly<{ type: 'tumbling'; sizeMs: number; graceMs: number }>;
/** Windows of `sizeMs`, one every `advanceMs`: they overlap where that is less. */
export type HoppingWindow = Readonly<{
  type: 'hopping';
  sizeMs: number;
  advanceMs: number;
  graceMs: number;
}>;
export type Window = TumblingWindow | HoppingWindow;

/** A key in one of its windows; `endMs` is the first instant past it. */
export type Windowed<K> = Readonly<{ key: K; startMs: number; endMs: number }>;

/** `graceMs`: so long after its end a window still takes what comes late. */
export function tumbling({ sizeMs, graceMs = 0 }: { sizeMs: number; graceMs?: number }): Window {
  return { type: 'tumbling', sizeMs: positive(sizeMs, 'sizeMs'), graceMs: whole(graceMs) };
}

export function hopping(options: { sizeMs: number; advanceMs: number; graceMs?: number }): Window {
  const { sizeMs, advanceMs, graceMs = 0 } = options;
  if (positive(advanceMs, 'advanceMs') > positive(sizeMs, 'sizeMs'))
    throw new TypeError(`windows of ${sizeMs} ms every ${advanceMs} ms leave gaps`);
  return { type: 'hopping', sizeMs, advanceMs, graceMs: whole(graceMs) };
}

function positive(ms: number, name: string): number {
  if (Number.isSafeInteger(ms) && ms > 0) return ms;
  throw new TypeError(`${name} of a window: expected a whole number of ms above 0, found ${ms}`);
}

function whole(graceMs: number): number {
  if (Number.isSafeInteger(graceMs) && graceMs >= 0) return graceMs;
  throw new TypeError(`graceMs of a window: expected a whole number of ms, found ${graceMs}`);
}
