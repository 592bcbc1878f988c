import { addAbortSignal } from 'node:stream';
import { text } from 'node:stream/consumers';

/** All of it, as text. Rejects with the signal's reason when it aborts. */
export async function readStandardInput(signal: AbortSignal): Promise<string> {
  try {
    return await text(addAbortSignal(signal, process.stdin));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}
