import { MillraceError } from '../../domain/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import type { ChangeSource, SourceIdentity } from '../../ports/change-source.ts';
import {
  completeOptions,
  type KafkaAccess,
  type Options,
  type OwnTopics,
  refuseInvalid,
} from './options.ts';
import { decideBeginning, offsetAt, positionIn, type StoredPosition } from './position.ts';
import type { ConnectRest } from './rest.ts';

const PLUGIN = 'io.debezium.connector.postgresql.PostgresConnector';
/** Workers tell each other by a topic what is to run. */
const STOP_PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 100;

export type RegistrationParts = Readonly<{
  rest: ConnectRest;
  url: string;
  name: string;
  options: Options;
  own: OwnTopics;
  kafka: KafkaAccess;
  topicPrefix: string;
  slot: string;
  publication: string;
  source: ChangeSource;
  adoptSlot: boolean;
  clock: Clock;
  hide: (text: string) => string;
}>;

/** A connector as Connect knows it: its options, and where it begins. */
export class Registration {
  readonly #parts: RegistrationParts;

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
  }

  /**
   * Registers the connector, or brings the registered one up to date, so that it begins where
   * nothing is lost, and refuses where that can't be. Nothing is registered that Connect finds
   * wrong. Yields whether a first copy is to be expected.
   */
  async ensure({ isPaused }: { isPaused: boolean }, signal: AbortSignal): Promise<boolean> {
    const { rest, name, options, own, kafka, source, hide } = this.#parts;
    await this.#refuseWithoutPlugin(signal);
    // What is wrong with the source itself is told from here, not as a wrong option.
    const server = await source.identify();
    const wanted = await completeOptions(options, name, own, kafka);
    refuseInvalid(wanted, await rest.validate(PLUGIN, wanted, signal), hide);
    const found = await rest.config(name, signal);
    if (found === undefined) await rest.create(name, wanted, signal);
    try {
      const { isToStart, copies } = await this.#place(server, found !== undefined, signal);
      if (found !== undefined && !isSame(found, wanted)) await rest.configure(name, wanted, signal);
      if (isToStart && !isPaused) await rest.resume(name, signal);
      return copies;
    } catch (error) {
      // One that stays is stopped, and counts as one that never ran.
      if (found === undefined) await rest.delete(name, signal).catch(() => undefined);
      throw error;
    }
  }

  async position(signal: AbortSignal): Promise<StoredPosition | undefined> {
    const { rest, name, topicPrefix } = this.#parts;
    return positionIn(await rest.offsets(name, signal), topicPrefix);
  }

  /** Throws why Debezium can't go on, by slot and position: it says itself only that something is gone. */
  async refuseLoss(said: string, signal: AbortSignal): Promise<never> {
    const { source, slot } = this.#parts;
    decideBeginning({
      stored: await this.position(signal),
      slot: await source.slot(slot),
      server: await source.identify(),
      slotName: slot,
      hasRun: true,
      adoptSlot: false,
    });
    throw new MillraceError('slot_lost', { slot, said });
  }

  async remove(signal: AbortSignal): Promise<void> {
    const { rest, name } = this.#parts;
    if ((await rest.config(name, signal)) === undefined) return;
    await this.#stop(signal);
    await rest.deleteOffsets(name, signal);
    await rest.delete(name, signal);
  }

  async #refuseWithoutPlugin(signal: AbortSignal): Promise<void> {
    const { rest, url } = this.#parts;
    const plugins = await rest.plugins(signal);
    if (plugins.some((plugin) => plugin.class === PLUGIN)) return;
    throw new MillraceError('connect_plugin_missing', {
      url,
      expected: PLUGIN,
      found: plugins.map((plugin) => plugin.class).join(', ') || 'no connector',
    });
  }

  async #place(
    server: SourceIdentity,
    isKnown: boolean,
    signal: AbortSignal,
  ): Promise<{ isToStart: boolean; copies: boolean }> {
    const { rest, name, source, slot: slotName, publication, topicPrefix, adoptSlot } = this.#parts;
    const stored = await this.position(signal);
    const hasRun = stored !== undefined || (isKnown && !(await this.#isStopped(signal)));
    const slot = await source.slot(slotName);
    const beginning = decideBeginning({ stored, slot, server, slotName, hasRun, adoptSlot });
    // Made anew, it would publish from now on, and what changed since the slot's position would be left out.
    if (beginning.how !== 'afresh' && !(await source.publicationExists(publication)))
      throw new MillraceError('publication_missing', { publication });
    if (beginning.how === 'adopt') {
      await this.#stop(signal);
      await rest.setOffsets(name, [offsetAt(beginning.from, topicPrefix)], signal);
    }
    return {
      isToStart: !isKnown || !hasRun || beginning.how === 'adopt',
      copies: stored?.isCopying ?? (beginning.how === 'afresh' && this.#copiesFirst()),
    };
  }

  #copiesFirst(): boolean {
    return !['no_data', 'never'].includes(this.#parts.options['snapshot.mode'] ?? 'initial');
  }

  async #isStopped(signal: AbortSignal): Promise<boolean> {
    const { rest, name } = this.#parts;
    return (await rest.status(name, signal))?.connector.state === 'STOPPED';
  }

  async #stop(signal: AbortSignal): Promise<void> {
    const { rest, name, clock, url } = this.#parts;
    await rest.stop(name, signal);
    const deadlineMs = clock.nowMs() + STOP_PATIENCE_MS;
    for (;;) {
      const status = await rest.status(name, signal);
      if (status?.connector.state === 'STOPPED' && status.tasks.length === 0) return;
      if (clock.nowMs() >= deadlineMs)
        throw new MillraceError('connect_unreachable', { url, said: 'it does not stop its tasks' });
      await clock.sleep(LOOK_EVERY_MS, signal);
      signal.throwIfAborted();
    }
  }
}

function isSame(found: Options, wanted: Options): boolean {
  const names = new Set([...Object.keys(found), ...Object.keys(wanted)]);
  return [...names].every((name) => found[name] === wanted[name]);
}
