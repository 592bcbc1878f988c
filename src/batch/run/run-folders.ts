import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { MillraceError } from '../../domain/errors.ts';
import type { Lake } from '../lake/lake.ts';
import { removeReplaced } from '../lake/rubbish.ts';
import type { RunReport } from './run-report.ts';

const MODELS = 'models';
const FAILURES = 'failures';
const SCRATCH = 'scratch';
const RUNS = 'runs';
/** With the failing rows that they name. */
const KEPT_REPORTS = 100;
/** Failing rows without a report, so old, are those of a run that died. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;

/** Sorts by time, as text. */
export function newRunId(nowMs: number): string {
  const digits = new Date(nowMs).toISOString().replaceAll(/\D/g, '');
  return `${digits.slice(0, 8)}T${digits.slice(8)}-${randomBytes(4).toString('hex')}`;
}

function startOf(runId: string): number {
  const [, ...parts] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})-/.exec(runId)?.map(Number) ?? [];
  const [year = 0, month = 1, ...rest] = parts;
  return parts.length === 0 ? Number.NaN : Date.UTC(year, month - 1, ...rest);
}

export function resultFolder(model: string, runId: string): string {
  return `${MODELS}/${model}/${runId}`;
}

/** Rows that made tests of the run fail, in a folder for each test. */
export function failuresFolder(runId: string): string {
  return `${FAILURES}/${runId}`;
}

/** What the run needs for itself, for as long as it goes on. */
export function scratchFolder(runId: string): string {
  return `${SCRATCH}/${runId}`;
}

/**
 * Removes results that were replaced a while ago, what runs left that died, and reports past their number with their failing rows. For the
 * holder of the lock, before it begins: no other run goes on.
 */
export async function removeRemains(lake: Lake): Promise<void> {
  await removeReplaced(lake, Date.now());
  const manifest = await lake.manifest();
  const named = [
    ...Object.values(manifest.models).flatMap(({ files }) => files),
    ...manifest.removed,
  ].map(({ path }) => path.slice(0, path.lastIndexOf('/')));
  const inUse = new Set(named);
  for (const model of await entries(lake, MODELS))
    for (const runId of await entries(lake, `${MODELS}/${model}`)) {
      const folder = resultFolder(model, runId);
      if (!inUse.has(folder)) await remove(lake, folder);
    }
  await remove(lake, SCRATCH);
  await removeOldReports(lake);
}

async function removeOldReports(lake: Lake): Promise<void> {
  const reports = (await reportIds(lake)).toSorted();
  const kept = new Set(reports.slice(-KEPT_REPORTS));
  for (const runId of reports) if (!kept.has(runId)) await remove(lake, `${RUNS}/${runId}.json`);
  for (const runId of await entries(lake, FAILURES))
    if (!kept.has(runId) && !(startOf(runId) > Date.now() - ABANDONED_MS))
      await remove(lake, failuresFolder(runId));
}

async function reportIds(lake: Lake): Promise<readonly string[]> {
  return (await entries(lake, RUNS)).flatMap((name) => /^(.+)\.json$/.exec(name)?.[1] ?? []);
}

/** Throws `disk_full`. */
export async function saveReport(lake: Lake, report: RunReport): Promise<void> {
  const file = lake.path(`${RUNS}/${report.runId}.json`);
  const draft = `${file}.${randomUUID()}`;
  try {
    await mkdir(lake.path(RUNS), { recursive: true });
    await writeFile(draft, JSON.stringify(report));
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new MillraceError('disk_full', { dir: lake.dir }, error);
    throw error;
  }
}

/** Of the last runs, the newest first. */
export async function readReports(lake: Lake, limit: number): Promise<readonly RunReport[]> {
  const ids = (await reportIds(lake)).toSorted().toReversed().slice(0, limit);
  return Promise.all(
    ids.map(async (id) => {
      const text = await readFile(lake.path(`${RUNS}/${id}.json`), 'utf8');
      return JSON.parse(text) as RunReport;
    }),
  );
}

export async function remove(lake: Lake, folder: string): Promise<void> {
  await rm(lake.path(folder), { recursive: true, force: true });
}

async function entries(lake: Lake, folder: string): Promise<readonly string[]> {
  try {
    return await readdir(lake.path(folder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
