import { readAnswer, verdictOf } from './answer.ts';
import type { WebhookAddress } from './webhook-address.ts';

/** What is posted is told once, and not again: `undefined` when it was taken, else why it was not. */
export async function postJson(
  { url, authorization }: WebhookAddress,
  value: unknown,
  timeoutMs: number,
): Promise<string | undefined> {
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'millrace',
    ...(authorization !== undefined && { authorization }),
  };
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify(value),
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const { status, said } = await readAnswer(response, Date.now());
    if (verdictOf(status) === 'taken') return undefined;
    return said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`;
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError')
      return `no answer within ${timeoutMs} ms`;
    // `fetch failed` says nothing: its cause does.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    if (!(cause instanceof Error)) return String(cause);
    return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message;
  }
}
