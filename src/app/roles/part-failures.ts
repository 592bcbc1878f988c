import type { Logger } from 'pino';
import type { ConnectorStatus } from '../../domain/status.ts';
import type { UpEvent } from './launch.ts';
import type { StatusReport } from '../operations/operations.ts';
import type { PartState } from './worker-messages.ts';

/** A part that was started again counts as recovered when it has run for so long. */
const RECOVERED_AFTER_MS = 2000;

type Trouble = { isOver: boolean; message: string; runsSinceMs: number | undefined };

/** Which parts are in trouble; says so once, not at each attempt, and says when it is over. */
export class PartFailures {
  readonly #logger: Logger;
  readonly #onEvent: (event: UpEvent) => void;
  readonly #clock: () => number;
  readonly #troubles = new Map<string, Trouble & { code?: string }>();

  constructor(logger: Logger, onEvent: (event: UpEvent) => void, clock: () => number) {
    this.#logger = logger;
    this.#onEvent = onEvent;
    this.#clock = clock;
  }

  readonly onState = (part: string, state: PartState): void => {
    if (!('failure' in state)) {
      const trouble = this.#troubles.get(part);
      if (trouble !== undefined && state.state === 'running') trouble.runsSinceMs = this.#clock();
      this.#logger.debug({ part }, state.state);
      return;
    }
    const { message, code, stack } = state.failure;
    const isOver = state.state === 'failed';
    this.#logger[isOver ? 'error' : 'warn']({ part, code, stack }, message);
    const known = this.#troubles.get(part);
    this.#troubles.set(part, {
      isOver,
      message,
      runsSinceMs: undefined,
      ...(code === undefined ? {} : { code }),
    });
    const isSame = code === undefined ? known?.message === message : known?.code === code;
    if (isSame && known?.isOver === isOver) return;
    this.#onEvent({
      kind: 'failure',
      part,
      message,
      restarting: !isOver,
      ...(code === undefined ? {} : { code }),
    });
  };

  /** The parts that failed for good. */
  list(): StatusReport['failures'] {
    return [...this.#troubles]
      .filter(([, { isOver }]) => isOver)
      .map(([part, { code, message }]) => ({
        part,
        message,
        ...(code === undefined ? {} : { code }),
      }));
  }

  /** Why a part does not work at this moment, though it is tried again. */
  waitingFor(part: string): string | undefined {
    const { isOver, runsSinceMs, message } = this.#troubles.get(part) ?? {};
    return isOver === false && runsSinceMs === undefined ? message : undefined;
  }

  /** To be called now and then: tells of those that work again. */
  check(connector: ConnectorStatus | undefined): void {
    for (const [part, { isOver, runsSinceMs }] of this.#troubles) {
      if (isOver || runsSinceMs === undefined) continue;
      const works =
        part === 'connector'
          ? ['streaming', 'copying', 'paused'].includes(connector?.state ?? '')
          : this.#clock() - runsSinceMs >= RECOVERED_AFTER_MS;
      if (!works) continue;
      this.#troubles.delete(part);
      this.#logger.info({ part }, 'works again');
      this.#onEvent({ kind: 'recovered', part });
    }
  }
}
