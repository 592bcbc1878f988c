import { setTimeout as wait } from 'node:timers/promises';
import { MillraceError } from '../../domain/errors.ts';

export type Plugin = Readonly<{ class: string; type: string; version?: string }>;

/** What Connect finds in a configuration; `value.name` names one of the options it knows. */
export type Validation = Readonly<{
  configs: readonly Readonly<{ value: Readonly<{ name: string; errors: readonly string[] }> }>[];
}>;

export type WorkState =
  | 'RUNNING'
  | 'FAILED'
  | 'PAUSED'
  | 'STOPPED'
  | 'UNASSIGNED'
  | 'RESTARTING'
  | 'DESTROYED';

export type ConnectStatus = Readonly<{
  connector: Readonly<{ state: WorkState; trace?: string }>;
  tasks: readonly Readonly<{ id: number; state: WorkState; trace?: string }>[];
}>;

/** How far a source connector has come, in its own terms, by what it calls a partition of its source. */
export type SourceOffset = Readonly<{
  partition: Readonly<Record<string, unknown>>;
  offset: Readonly<Record<string, unknown>> | null;
}>;

type Options = Readonly<Record<string, string>>;
type Answer = Readonly<{ status: number; body: unknown }>;

const TIMEOUT_MS = 10_000;
/** It logs in to the source, for which Debezium allows a minute. */
const VALIDATION_TIMEOUT_MS = 90_000;
/** While the workers agree on who runs what, each of them answers with 409. */
const REBALANCE_PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 250;

/**
 * Kafka Connect's REST interface, as far as one source connector needs it. See
 * https://kafka.apache.org/documentation/#connect_rest
 *
 * Rejects with `connect_unreachable` where trying again helps, and with `connect_refused` where it
 * does not. What a worker says is passed on without the secrets that it was given.
 */
export class ConnectRest {
  readonly #url: string;
  readonly #hide: (text: string) => string;

  constructor(url: string, hide: (text: string) => string) {
    this.#url = url.replace(/\/+$/, '');
    this.#hide = hide;
  }

  /** Refuses a server that is not Kafka Connect. */
  async plugins(signal: AbortSignal): Promise<readonly Plugin[]> {
    const { body } = await this.#ask('GET', '/connector-plugins', signal);
    if (Array.isArray(body)) return body as readonly Plugin[];
    throw this.#refused('GET /connector-plugins', 'an answer that is no list of plugins');
  }

  async validate(plugin: string, options: Options, signal: AbortSignal): Promise<Validation> {
    const path = `/connector-plugins/${encodeURIComponent(plugin)}/config/validate`;
    const { body } = await this.#ask('PUT', path, signal, options, VALIDATION_TIMEOUT_MS);
    return body as Validation;
  }

  /** Registers a connector that does not run before `resume`. */
  async create(name: string, config: Options, signal: AbortSignal): Promise<void> {
    await this.#ask('POST', '/connectors', signal, { name, config, initial_state: 'STOPPED' });
  }

  /** As it was given, `name` included; undefined where there is no such connector. */
  async config(name: string, signal: AbortSignal): Promise<Options | undefined> {
    return (await this.#find(`${pathOf(name)}/config`, signal)) as Options | undefined;
  }

  async configure(name: string, config: Options, signal: AbortSignal): Promise<void> {
    await this.#ask('PUT', `${pathOf(name)}/config`, signal, config);
  }

  /** Undefined where there is no such connector, or none of it is known yet. */
  async status(name: string, signal: AbortSignal): Promise<ConnectStatus | undefined> {
    return (await this.#find(`${pathOf(name)}/status`, signal)) as ConnectStatus | undefined;
  }

  /** Ends the tasks, and with them their connections, and keeps configuration and offsets. */
  async stop(name: string, signal: AbortSignal): Promise<void> {
    await this.#ask('PUT', `${pathOf(name)}/stop`, signal);
  }

  async resume(name: string, signal: AbortSignal): Promise<void> {
    await this.#ask('PUT', `${pathOf(name)}/resume`, signal);
  }

  async restart(
    name: string,
    { onlyFailed }: Readonly<{ onlyFailed: boolean }>,
    signal: AbortSignal,
  ): Promise<void> {
    const query = `includeTasks=true&onlyFailed=${onlyFailed}`;
    await this.#ask('POST', `${pathOf(name)}/restart?${query}`, signal);
  }

  async offsets(name: string, signal: AbortSignal): Promise<readonly SourceOffset[]> {
    const body = await this.#find(`${pathOf(name)}/offsets`, signal);
    return (body as { offsets?: readonly SourceOffset[] } | undefined)?.offsets ?? [];
  }

  /** Of a stopped connector. */
  async setOffsets(
    name: string,
    offsets: readonly SourceOffset[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#ask('PATCH', `${pathOf(name)}/offsets`, signal, { offsets });
  }

  /** Of a stopped connector. */
  async deleteOffsets(name: string, signal: AbortSignal): Promise<void> {
    await this.#ask('DELETE', `${pathOf(name)}/offsets`, signal);
  }

  /** Connect keeps its offsets, and a connector of the same name goes on from there. */
  async delete(name: string, signal: AbortSignal): Promise<void> {
    await this.#ask('DELETE', pathOf(name), signal);
  }

  async #find(path: string, signal: AbortSignal): Promise<unknown> {
    const { status, body } = await this.#send('GET', path, undefined, TIMEOUT_MS, signal);
    if (status === 404 && isOfConnect(body)) return undefined;
    this.#refuseFailure(`GET ${path}`, { status, body });
    return body;
  }

  async #ask(
    method: string,
    path: string,
    signal: AbortSignal,
    body?: unknown,
    timeoutMs = TIMEOUT_MS,
  ): Promise<Answer> {
    const answer = await this.#send(method, path, body, timeoutMs, signal);
    this.#refuseFailure(`${method} ${path}`, answer);
    return answer;
  }

  #refuseFailure(request: string, { status, body }: Answer): void {
    if (status < 400) return;
    const said = saidBy(body);
    // A worker that starts knows no address, in HTML; one that cannot reach Kafka fails after a while.
    if (status >= 500 || !isOfConnect(body))
      throw this.#unreachable(`${request}: ${status} ${said}`);
    throw this.#refused(request, `${status} ${said}`);
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    const deadlineMs = Date.now() + REBALANCE_PATIENCE_MS;
    for (;;) {
      const answer = await this.#fetch(method, path, body, timeoutMs, signal);
      if (!isRebalancing(answer)) return answer;
      if (Date.now() >= deadlineMs)
        throw this.#unreachable(`it still rebalances: ${saidBy(answer.body)}`);
      await wait(LOOK_EVERY_MS, undefined, { signal });
    }
  }

  async #fetch(
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    try {
      const response = await fetch(`${this.#url}${path}`, {
        method,
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        ...(body !== undefined && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      });
      return { status: response.status, body: parse(await response.text()) };
    } catch (error) {
      signal.throwIfAborted();
      throw this.#unreachable(reasonOf(error), error);
    }
  }

  #unreachable(said: string, cause?: unknown): MillraceError {
    return new MillraceError(
      'connect_unreachable',
      { url: this.#url, said: this.#hide(said) },
      cause,
    );
  }

  #refused(request: string, found: string): MillraceError {
    return new MillraceError('connect_refused', {
      url: this.#url,
      request,
      found: this.#hide(found),
    });
  }
}

function pathOf(name: string): string {
  return `/connectors/${encodeURIComponent(name)}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isRebalancing({ status, body }: Answer): boolean {
  return status === 409 || (status === 500 && /rebalance/.test(saidBy(body)));
}

function isOfConnect(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'error_code' in body;
}

function saidBy(body: unknown): string {
  const said = typeof body === 'object' && body !== null && 'message' in body ? body.message : body;
  return String(said).replaceAll(/\s+/g, ' ').slice(0, 500);
}

/** The built-in fetch hides the reason behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join(', ');
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
