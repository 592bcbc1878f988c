import { randomUUID } from 'node:crypto';
import type { Lake } from '../../batch/lake/lake.ts';
import { lineageGraph, type LineageGraph } from '../../batch/lineage/lineage-graph.ts';
import type {
  OpenLineageNames,
  RunEvent as LineageEvent,
} from '../../batch/lineage/open-lineage.ts';
import {
  brokenEvent,
  finishedEvents,
  type ParentRun,
  startedEvent,
} from '../../batch/lineage/run-events.ts';
import { compileModels } from '../../batch/models/compile.ts';
import type { Variables } from '../../batch/models/model.ts';
import type { ModelProject } from '../../batch/models/project.ts';
import { lakeSources } from '../../batch/models/source-table.ts';
import type { RunEvent } from '../../batch/run/model-run.ts';
import type { RunReport } from '../../batch/run/run-report.ts';
import { MillraceError } from '../../domain/errors.ts';
import type { Config } from '../config/config.ts';
import type { Pipeline } from '../pipeline.ts';
import { VERSION } from '../version.ts';
import { lineageOptions } from './lineage-options.ts';
import { openEngine } from './open.ts';

/** For one event. */
const TIMEOUT_MS = 5000;

export type OpenLineageOptions = Readonly<{
  config: Pick<Config, 'source' | 'lake' | 'batch'>;
  pipeline: Pick<Pipeline, 'name'>;
  /** Is told why events were not taken; the run goes on. */
  onFailure: (why: string) => void;
}>;

/** Tells who listens at OPENLINEAGE_URL of each run of models. Nothing that fails here fails a run. */
export class OpenLineage {
  readonly #options: OpenLineageOptions;
  readonly #url: string;

  private constructor(options: OpenLineageOptions, url: string) {
    this.#options = options;
    this.#url = url;
  }

  /** Undefined where nobody listens. */
  static of(options: OpenLineageOptions): OpenLineage | undefined {
    const { openLineageUrl } = options.config.batch;
    return openLineageUrl === undefined ? undefined : new OpenLineage(options, openLineageUrl);
  }

  begin(): ObservedRun {
    return new ObservedRun(this.#options, this.#url);
  }
}

/** How a run went, and what it ran. */
export type EndedRun = Readonly<{
  report: RunReport;
  project: ModelProject;
  variables: Variables;
  lake: Lake;
}>;

class ObservedRun {
  readonly #options: OpenLineageOptions;
  readonly #url: string;
  readonly #names: OpenLineageNames;
  readonly #parent: ParentRun = { runId: randomUUID(), startedAtMs: Date.now() };
  readonly #times = new Map<string, { startedAtMs: number; endedAtMs: number }>();
  /** Whether the beginning was taken; undefined before it is told. */
  #begun: Promise<boolean> | undefined;

  constructor(options: OpenLineageOptions, url: string) {
    this.#options = options;
    this.#url = url;
    this.#names = namesOf(options);
  }

  see(event: RunEvent): void {
    const nowMs = Date.now();
    void this.#begin();
    if (event.kind === 'started' && event.what === 'model')
      this.#times.set(event.name, { startedAtMs: nowMs, endedAtMs: nowMs });
    if (event.kind === 'model') {
      const began = this.#times.get(event.report.name)?.startedAtMs ?? nowMs;
      this.#times.set(event.report.name, { startedAtMs: began, endedAtMs: nowMs });
    }
  }

  async ended(run: EndedRun): Promise<void> {
    const endedAtMs = Date.now();
    if (!(await this.#begin())) return;
    const graph = await this.#graphOf(run).catch((error: unknown) => {
      this.#options.onFailure(`what models read is not told: ${String(error)}`);
      return undefined;
    });
    const { models } = run.project;
    const { report } = run;
    const times = this.#times;
    const finished = { report, models, graph, times, endedAtMs };
    await this.#post(finishedEvents(this.#parent, finished, this.#names));
  }

  /** It ended without a report. One that waits for another's end has not begun. */
  async broke(error: unknown, signal: AbortSignal): Promise<void> {
    if (this.#begun === undefined && isBusy(error)) return;
    if (!(await this.#begin())) return;
    const problem = error instanceof Error ? error.message : String(error);
    const why = { type: signal.aborted ? 'ABORT' : 'FAIL', problem, atMs: Date.now() } as const;
    await this.#post([brokenEvent(this.#parent, why, this.#names)]);
  }

  #begin(): Promise<boolean> {
    return (this.#begun ??= this.#post([startedEvent(this.#parent, this.#names)]));
  }

  async #graphOf({ project, variables, lake }: EndedRun): Promise<LineageGraph> {
    const { config } = this.#options;
    const manifest = await lake.manifest();
    const sources = lakeSources(manifest);
    await using engine = await openEngine(config);
    const { models } = await compileModels(
      project,
      { engine, sources, variables },
      AbortSignal.timeout(60_000),
    );
    const options = await lineageOptions(engine, { models, sources, manifest, config });
    const selected = new Set(models.map(({ model }) => model.name));
    return lineageGraph({ ...options, selected });
  }

  /** In order, up to one that is not taken: who does not answer is not waited for again. */
  async #post(events: readonly LineageEvent[]): Promise<boolean> {
    const { parseWebhookUrl } = await import('../../adapters/http/webhook-address.ts');
    const { postJson } = await import('../../adapters/http/json-post.ts');
    const address = parseWebhookUrl(endpointOf(this.#url));
    if (typeof address === 'string') {
      this.#options.onFailure(address);
      return false;
    }
    for (const event of events) {
      const why = await postJson(address, event, TIMEOUT_MS);
      if (why === undefined) continue;
      this.#options.onFailure(`${address.origin}: ${why}`);
      return false;
    }
    return true;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'lake_busy';
}

/** The path that OpenLineage's clients add, where the address has none of its own. */
function endpointOf(text: string): string {
  const url = new URL(text);
  if (!/\/api\/v\d+\/lineage\/?$/.test(url.pathname))
    url.pathname = `${url.pathname.replace(/\/$/, '')}/api/v1/lineage`;
  return url.href;
}

export function namesOf({
  config,
  pipeline,
}: Pick<OpenLineageOptions, 'pipeline'> &
  Readonly<{ config: Pick<Config, 'source'> }>): OpenLineageNames {
  const { source } = config;
  return {
    producer: `https://www.npmjs.com/package/millrace/v/${VERSION}`,
    pipeline: pipeline.name,
    // The embedded server's port is another one at each start.
    sourceNamespace:
      source.kind === 'server'
        ? `postgres://${source.server.host}:${source.server.port}`
        : 'postgres://embedded',
    database: source.kind === 'server' ? source.server.database : source.database,
  };
}
