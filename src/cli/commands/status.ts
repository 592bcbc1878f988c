import { Command } from 'commander';
import type { StatusReport } from '../../app/operations/operations.ts';
import { callOperation } from '../../app/operations/call.ts';
import type { ConnectorStatus, ProcessorStatus } from '../../domain/status.ts';
import { counted } from '../../lib/counted.ts';
import { withoutPassword } from '../address.ts';
import { placeOf, type Context } from '../context.ts';
import { withExamples } from '../examples.ts';
import { formatTable } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import { formatBytes, formatCount, formatDuration, formatRate } from '../units.ts';
import { topicLines } from './topics.ts';

export function statusCommand(context: Context): Command {
  const command = new Command('status')
    .description('show the connector, slot lag, topics, processors, rates and addresses')
    .option('--json', 'print the report as one JSON object')
    .action(async (options: { json?: true }) => {
      const { terminal, signal } = context;
      for await (const report of callOperation(placeOf(context, command), 'status', {}, signal)) {
        if (options.json) await terminal.printJson(shown(report));
        else await terminal.printAll(statusLines(shown(report), terminal.colours));
      }
    });
  return withExamples(
    command,
    'millrace status',
    'millrace status --json | jq .connector.lagBytes',
  );
}

function shown(report: StatusReport): StatusReport {
  const { postgres } = report.urls;
  if (postgres === undefined) return report;
  return { ...report, urls: { ...report.urls, postgres: withoutPassword(postgres) } };
}

export function statusLines(report: StatusReport, colours: Terminal['colours']): string[] {
  const blocks = [
    headLines(report, colours),
    workerLines(report),
    connectorLines(report),
    processorLines(report),
    taskLines(report, colours),
    lakeLines(report),
    batchLines(report, colours),
    report.topics.length === 0 ? [] : topicLines(report.topics),
    sizeLines(report),
    report.failures.map(({ part, message }) => colours.red(`FAILED ${part}: ${message}`)),
  ];
  return blocks
    .filter((lines) => lines.length > 0)
    .flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]));
}

function headLines(report: StatusReport, colours: Terminal['colours']): string[] {
  const { dataDir, pipeline, urls } = report;
  const facts = [
    ['Millrace', stateOf(report, colours)],
    // With log and store on servers, nothing that matters lies there.
    ...(urls.kafka === undefined || urls.redis === undefined ? [['Data', dataDir]] : []),
    ...(pipeline === undefined ? [] : [['Pipeline', pipeline]]),
    ...(urls.postgres === undefined ? [] : [['PostgreSQL', urls.postgres]]),
    ...(urls.kafka === undefined ? [] : [['Kafka', urls.kafka]]),
    ...(urls.redis === undefined ? [] : [['Redis', urls.redis]]),
  ];
  return facts.map(([name = '', value = '']) => `${name.padEnd(11)} ${value}`);
}

function stateOf(report: StatusReport, colours: Terminal['colours']): string {
  const { running, pid, startedAtMs, atMs, workers } = report;
  if (!running) return `${colours.yellow('not running')}; below is what was last known`;
  if (pid === undefined) {
    const processes = new Set(workers.map(({ worker }) => worker)).size;
    return `${colours.green('running')} in ${counted(processes, 'process', 'processes')}`;
  }
  const since = startedAtMs === undefined ? '' : `, for ${formatDuration(atMs - startedAtMs)}`;
  return `${colours.green('running')} (pid ${pid}${since})`;
}

function workerLines({ workers, atMs }: StatusReport): string[] {
  if (workers.length === 0) return [];
  return formatTable(
    [
      { title: 'WORKER' },
      { title: 'RUNS' },
      { title: 'STATE' },
      { title: 'PARTITIONS', align: 'right' },
      { title: 'HEARD' },
    ],
    workers.map(({ worker, component, state, partitions, heardMs }) => [
      worker,
      component.replace(':', ' '),
      state,
      component.startsWith('processor:') ? String(partitions) : '-',
      `${formatDuration(Math.max(0, atMs - heardMs))} ago`,
    ]),
  );
}

/** The connector with the copies that it makes. */
export function connectorLines({
  connector,
  rates,
}: Pick<StatusReport, 'connector' | 'rates'>): string[] {
  if (connector === undefined) return [];
  const copied = connector.copy?.reduce((sum, { rows }) => sum + rows, 0) ?? 0;
  return [
    ...formatTable(
      [
        { title: 'CONNECTOR' },
        { title: 'STATE' },
        { title: 'SLOT' },
        { title: 'SLOT LAG', align: 'right' },
        { title: 'DELAY', align: 'right' },
        { title: 'COPIED', align: 'right' },
        { title: 'STREAMED', align: 'right' },
        { title: 'RATE', align: 'right' },
        { title: 'CONFIRMED' },
      ],
      [
        [
          connector.name,
          connector.state,
          connector.slot,
          connector.lagBytes === undefined ? '-' : formatBytes(connector.lagBytes),
          connector.lagMs === undefined ? '-' : formatDuration(connector.lagMs),
          formatCount(copied),
          formatCount(connector.changes - copied),
          rates === undefined ? '-' : formatRate(rates.capturedPerSecond),
          connector.confirmedLsn ?? '-',
        ],
      ],
    ),
    ...copyLines(connector),
    ...(connector.problem === undefined ? [] : [`  problem: ${connector.problem}`]),
  ];
}

function copyLines({ copy = [] }: ConnectorStatus): string[] {
  return copy
    .filter(({ done }) => !done)
    .map(
      ({ table, rows, estimatedRows }) =>
        `  copying ${table}: ${counted(rows, 'row')}${estimatedRows < 0 ? '' : ` of about ${formatCount(estimatedRows)}`}`,
    );
}

function processorLines({ processors, rates }: StatusReport): string[] {
  if (processors.length === 0) return [];
  return [
    ...formatTable(
      [
        { title: 'PROCESSOR' },
        { title: 'STATE' },
        { title: 'LAG', align: 'right' },
        { title: 'RECORDS', align: 'right' },
        { title: 'RATE', align: 'right' },
        { title: 'PARKED', align: 'right' },
        { title: 'LATE', align: 'right' },
      ],
      processors.map((processor) => [
        processor.name,
        stateOfProcessor(processor),
        formatCount(lagOf(processor)),
        formatCount(processor.records),
        rates === undefined ? '-' : formatRate(rates.processedPerSecond[processor.name] ?? 0),
        formatCount(processor.parked),
        formatCount(processor.late),
      ]),
    ),
    ...processors.flatMap(({ name, problem }) =>
      problem === undefined ? [] : [`  problem of ${name}: ${problem}`],
    ),
  ];
}

function stateOfProcessor({ state, rebuild }: ProcessorStatus): string {
  if (rebuild === undefined) return state;
  const share = `rebuilding ${Math.floor(rebuild.share * 100)}%`;
  const shown = rebuild.phase === 'rebuilding' ? share : 'switching';
  return state === 'running' ? shown : `${state}, ${shown}`;
}

/** Where several processes share the tasks: who runs each, and how far it is. */
function taskLines({ workers, processors }: StatusReport, colours: Terminal['colours']): string[] {
  const tasks = processors.flatMap((processor) => processor.tasks);
  if (workers.length === 0 || tasks.length === 0) return [];
  return formatTable(
    [
      { title: 'TASK' },
      { title: 'WORKER' },
      { title: 'OFFSET', align: 'right' },
      { title: 'END', align: 'right' },
      { title: 'LAG', align: 'right' },
    ],
    tasks.flatMap(({ task, worker, partitions }) =>
      partitions.map(({ offset, end }) => [
        task,
        worker ?? colours.yellow('none'),
        formatCount(offset),
        formatCount(end),
        formatCount(Math.max(0, end - offset)),
      ]),
    ),
  );
}

function lakeLines({ lake, atMs }: StatusReport): string[] {
  if (lake === undefined) return [];
  const { state, lag, rows, flushedAtMs, unfitRows, deadLetters, problem, gone = [] } = lake;
  return [
    ...formatTable(
      [
        { title: 'LAKE' },
        { title: 'LAG', align: 'right' },
        { title: 'WRITTEN', align: 'right' },
        { title: 'CAUGHT UP' },
        { title: 'UNFIT', align: 'right' },
        { title: 'DEAD LETTERS', align: 'right' },
      ],
      [
        [
          state,
          formatCount(lag),
          formatCount(rows),
          flushedAtMs === undefined
            ? '-'
            : `${formatDuration(Math.max(0, atMs - flushedAtMs))} ago`,
          formatCount(unfitRows),
          formatCount(deadLetters),
        ],
      ],
    ),
    ...gone.map(
      (table) =>
        `  ${table} is not at the source any more, or not captured: its rows stay as they were`,
    ),
    ...(problem === undefined ? [] : [`  problem: ${problem}`]),
  ];
}

function batchLines({ batch, atMs }: StatusReport, colours: Terminal['colours']): string[] {
  if (batch === undefined) return [];
  const { state, runs, failed, last, problem } = batch;
  return [
    ...formatTable(
      [
        { title: 'MODELS' },
        { title: 'RUNS', align: 'right' },
        { title: 'FAILED', align: 'right' },
        { title: 'LAST RUN' },
        { title: 'TOOK', align: 'right' },
        { title: 'MADE', align: 'right' },
        { title: 'TESTS FAILED', align: 'right' },
      ],
      [
        [
          state,
          formatCount(runs),
          formatCount(failed),
          last === undefined ? '-' : `${formatDuration(Math.max(0, atMs - last.startedAtMs))} ago`,
          last === undefined ? '-' : formatDuration(last.seconds * 1000),
          last === undefined ? '-' : formatCount(last.models),
          last === undefined ? '-' : formatCount(last.warnings + last.errors),
        ],
      ],
    ),
    ...(last?.failedModels ?? []).map((name) => colours.red(`  not made: ${name}`)),
    ...(last?.waiting ?? []).map(({ name, for: what }) => `  ${name} waits: ${what}`),
    ...(problem === undefined ? [] : [`  problem: ${problem}`]),
  ];
}

/** Records that a processor has not yet taken into account. */
export function lagOf({ tasks }: ProcessorStatus): number {
  return tasks
    .flatMap(({ partitions }) => partitions)
    .reduce((sum, { offset, end }) => sum + Math.max(0, end - offset), 0);
}

function sizeLines({ logBytes, storeBytes }: StatusReport): string[] {
  const sizes = [
    ...(logBytes === undefined ? [] : [`log ${formatBytes(logBytes)}`]),
    ...(storeBytes === undefined ? [] : [`store ${formatBytes(storeBytes)}`]),
  ];
  return sizes.length === 0 ? [] : [`On disk: ${sizes.join(', ')}`];
}
