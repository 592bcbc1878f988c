import { MillraceError } from '../../domain/errors.ts';
import { type Backoff, BACKOFF, backoffMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Sink, SinkBatch, SinkRecord, SinkRefusal, SinkWriter } from '../../ports/sink.ts';
import { type Answer, readAnswer, verdictOf } from './answer.ts';
import type { WebhookAddress } from './webhook-address.ts';

export type WebhookSinkOptions = Readonly<{
  address: WebhookAddress;
  /** Beside those of every request; `authorization` among them wins over the address's. */
  headers: Readonly<Record<string, string>>;
  /** For one attempt, its answer included. */
  timeoutMs: number;
  clock: Clock;
  random: () => number;
  backoff?: Backoff;
}>;

/** With the waits between, about twenty seconds; then the failure is told, and its task begins again. */
const ATTEMPTS = 7;
/** A server may ask for longer, and is asked again all the same. */
const MAX_WAIT_MS = 600_000;
const MAX_REDIRECTS = 3;

/**
 * Calls a URL for each record, in order: a POST of its value as JSON, whose `Idempotency-Key` is the
 * record's id. A server cannot keep our account, so a record may come again after a crash, with the
 * same key.
 */
export class WebhookSink implements Sink {
  readonly description: string;
  readonly keepsAccount = false;
  /** What is on its way when the process dies comes again: so little. */
  readonly batchRecords = 1;
  readonly #options: WebhookSinkOptions;

  constructor(options: WebhookSinkOptions) {
    this.#options = options;
    this.description = `webhook ${options.address.origin}`;
  }

  open(): Promise<SinkWriter> {
    return Promise.resolve(new WebhookWriter(this.#options));
  }
}

class WebhookWriter implements SinkWriter {
  readonly account = undefined;
  readonly #options: WebhookSinkOptions;

  constructor(options: WebhookSinkOptions) {
    this.#options = options;
  }

  async write({ records }: SinkBatch, signal: AbortSignal): Promise<readonly SinkRefusal[]> {
    const refusals: SinkRefusal[] = [];
    const refusedKeys = new Set<string | null>();
    for (const record of records) {
      if (refusedKeys.has(record.keyText)) continue;
      const refusal = await this.#send(record, signal);
      if (refusal === undefined) continue;
      refusals.push({ offset: record.offset, ...refusal });
      if (record.keyText !== null) refusedKeys.add(record.keyText);
    }
    return refusals;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  /** Undefined once it was taken. */
  async #send(
    record: SinkRecord,
    signal: AbortSignal,
  ): Promise<Omit<SinkRefusal, 'offset'> | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#attempt(record, signal);
      const verdict = 'failure' in answer ? 'try again' : verdictOf(answer.status);
      if (verdict === 'taken') return undefined;
      const said = 'failure' in answer ? answer.failure : told(answer);
      if (verdict === 'refused' && 'status' in answer)
        return { name: `HTTP ${answer.status}`, message: said };
      if (verdict === 'not let in') throw this.#error('sink_login_failed', said);
      if (verdict === 'elsewhere') throw this.#error('sink_not_ready', said);
      if (attempt === ATTEMPTS) throw this.#error('sink_unreachable', said, { attempts: ATTEMPTS });
      await this.#wait(attempt, 'failure' in answer ? undefined : answer.retryAfterMs, signal);
    }
  }

  async #wait(attempt: number, askedMs: number | undefined, signal: AbortSignal): Promise<void> {
    const { clock, random, backoff = BACKOFF } = this.#options;
    const ownMs = backoffMs(attempt, random, backoff);
    await clock.sleep(Math.min(MAX_WAIT_MS, Math.max(ownMs, askedMs ?? 0)), signal);
    signal.throwIfAborted();
  }

  async #attempt(
    record: SinkRecord,
    signal: AbortSignal,
  ): Promise<Answer | Readonly<{ failure: string }>> {
    const { address, timeoutMs, clock } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const init: RequestInit = {
      method: 'POST',
      headers: this.#headersOf(record),
      body: JSON.stringify(record.value),
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
    };
    try {
      let url = address.url;
      for (let redirects = 0; ; redirects += 1) {
        const answer = await readAnswer(await fetch(url, init), clock.nowMs());
        const next = redirects < MAX_REDIRECTS ? redirected(answer, url) : undefined;
        if (next === undefined) return answer;
        url = next;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (timeout.aborted) return { failure: `no answer within ${timeoutMs} ms` };
      if (isOfTls(error)) throw this.#error('sink_login_failed', causeOf(error), {}, error);
      return { failure: causeOf(error) };
    }
  }

  #headersOf({ id, keyText, timestampMs }: SinkRecord): Headers {
    const { address, headers } = this.#options;
    return new Headers({
      'content-type': 'application/json',
      'user-agent': 'millrace',
      'idempotency-key': id,
      'millrace-time': new Date(timestampMs).toISOString(),
      ...(keyText !== null && { 'millrace-key': ascii(keyText) }),
      ...(address.authorization !== undefined && { authorization: address.authorization }),
      ...headers,
    });
  }

  #error(
    code: 'sink_login_failed' | 'sink_not_ready' | 'sink_unreachable',
    said: string,
    facts: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
  ): MillraceError {
    const address = this.#options.address.origin;
    return new MillraceError(code, { address, ...facts, said }, cause);
  }
}

/** Another place of the same server, where the same request is asked for; undefined: not that. */
function redirected({ status, location }: Answer, from: string): string | undefined {
  if ((status !== 307 && status !== 308) || location === undefined) return undefined;
  const to = URL.parse(location, from);
  return to !== null && to.origin === new URL(from).origin ? to.href : undefined;
}

function told({ status, said, location }: Answer): string {
  const to = location === undefined ? undefined : URL.parse(location)?.origin;
  const rest = to === undefined ? said : `a redirect to ${to}, which is not followed`;
  return rest === '' ? `HTTP ${status}` : `HTTP ${status}: ${rest}`;
}

/** `fetch failed` says nothing: its cause does. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
  return cause.message === '' ? code : cause.message;
}

function isOfTls(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return /^(ERR_TLS|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(code);
}

/** A header's value holds no other characters; JSON text stays the same JSON. */
function ascii(text: string): string {
  return text.replaceAll(
    /[^\u0020-\u007e]/g,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
