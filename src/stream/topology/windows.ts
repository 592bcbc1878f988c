/** Windows that follow each other without a gap, from the epoch on. */
export type TumblingWindow = Readonly<{ type: 'tumbling'; sizeMs: number; graceMs: number }>;
/** Windows of `sizeMs`, one every `advanceMs`: they overlap where that is less. */
export type HoppingWindow = Readonly<{
  type: 'hopping';
  sizeMs: number;
  advanceMs: number;
  graceMs: number;
}>;
/** Windows of one key each, that last while its elements are less than `gapMs` apart. */
export type SessionWindow = Readonly<{ type: 'session'; gapMs: number; graceMs: number }>;
export type FixedWindow = TumblingWindow | HoppingWindow;
export type Window = FixedWindow | SessionWindow;

/** A key in one of its windows; `endMs` is the first instant past it. */
export type Windowed<K> = Readonly<{ key: K; startMs: number; endMs: number }>;

/** That one element may be in. */
const MOST_WINDOWS = 10_000;

type Grace = Readonly<{
  /** So long after its end a window still takes what comes late; else not at all. */
  graceMs?: number;
}>;

export function tumbling({ sizeMs, graceMs = 0 }: Grace & { sizeMs: number }): TumblingWindow {
  return {
    type: 'tumbling',
    sizeMs: positive(sizeMs, 'sizeMs'),
    graceMs: wholeMs(graceMs, 'graceMs of a window'),
  };
}

export function hopping(options: Grace & { sizeMs: number; advanceMs: number }): HoppingWindow {
  const { sizeMs, advanceMs, graceMs = 0 } = options;
  if (positive(advanceMs, 'advanceMs') > positive(sizeMs, 'sizeMs'))
    throw new TypeError(`windows of ${sizeMs} ms every ${advanceMs} ms leave gaps`);
  if (sizeMs / advanceMs > MOST_WINDOWS)
    throw new TypeError(
      `windows of ${sizeMs} ms every ${advanceMs} ms: expected each element in ${MOST_WINDOWS} of them at most`,
    );
  return { type: 'hopping', sizeMs, advanceMs, graceMs: wholeMs(graceMs, 'graceMs of a window') };
}

/**
 * A session begins with an element, takes those less than `gapMs` from one of its own, before or
 * after, and ends `gapMs` after its last. An element between two sessions makes them one.
 */
export function session({ gapMs, graceMs = 0 }: Grace & { gapMs: number }): SessionWindow {
  return {
    type: 'session',
    gapMs: positive(gapMs, 'gapMs'),
    graceMs: wholeMs(graceMs, 'graceMs of a window'),
  };
}

function positive(ms: number, name: string): number {
  if (Number.isSafeInteger(ms) && ms > 0) return ms;
  throw new TypeError(`${name} of a window: expected a whole number of ms above 0, found ${ms}`);
}

/** Throws a TypeError that names what is not such a number. */
export function wholeMs(ms: number, name: string): number {
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  throw new TypeError(`${name}: expected a whole number of ms, found ${ms}`);
}
