const HALTED = 0;
const INSIDE = 1;

const EXIT_PATIENCE_MS = 1000;

let ofThisThread: Int32Array | undefined;
let isInside = false;

/*
 * Lets a thread be terminated between its transactions. Within one, lmdb-js 3.5 would commit the
 * part that was written by then, or, of a transaction on the thread itself, keep its lock for ever.
 */

/** To be shared by a thread and whoever may terminate it. */
export function gateMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
}

/** From now on all transactions of this thread go through the gate. */
export function useGate(memory: SharedArrayBuffer): void {
  ofThisThread = new Int32Array(memory);
}

/** Resolves when the thread is within no transaction. It begins none any more: it must be terminated now. */
export async function closeGate(memory: SharedArrayBuffer): Promise<void> {
  const gate = new Int32Array(memory);
  Atomics.store(gate, HALTED, 1);
  while (Atomics.load(gate, INSIDE) > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** The same for the last moment of a process, which cannot wait for long. */
export function closeGateAtExit(memory: SharedArrayBuffer): void {
  const gate = new Int32Array(memory);
  Atomics.store(gate, HALTED, 1);
  for (let left = EXIT_PATIENCE_MS; left > 0 && Atomics.load(gate, INSIDE) > 0; left -= 1)
    Atomics.wait(gate, HALTED, 1, 1);
}

/** Runs what a transaction does; once the gate is closed, it waits to be terminated instead. */
export function throughGate<T>(body: () => T): T {
  const gate = ofThisThread;
  if (gate === undefined || isInside) return body();
  // Entered first and looked after: either the closing side sees us, or we see it.
  Atomics.add(gate, INSIDE, 1);
  isInside = true;
  try {
    if (Atomics.load(gate, HALTED) === 0) return body();
  } finally {
    isInside = false;
    Atomics.sub(gate, INSIDE, 1);
  }
  Atomics.wait(gate, HALTED, 1);
  throw new Error('a closed gate is not opened again');
}
