export { type Audit, auditStatement } from './domain/audit.ts';
export type { Change, ChangeEvent, Operation, Row } from './domain/envelope.ts';
export { defineTable, type TableRef } from './domain/table.ts';
export type { ServedWrite } from './ports/store.ts';
export type { OutgoingRecord, Processor, TaskContext, TaskState } from './stream/processor.ts';
export type {
  Sink,
  SinkAccount,
  SinkBatch,
  SinkRecord,
  SinkRefusal,
  SinkWriter,
} from './ports/sink.ts';
export {
  customSink,
  type CustomSinkOptions,
  postgresTable,
  type PostgresTableOptions,
  type SinkDeclaration,
  webhook,
  type WebhookOptions,
} from './stream/sinks/declarations.ts';
export type { SinkOptions } from './stream/sinks/sink-operator.ts';
export type { Fact } from './stream/operators/source.ts';
export type { ProcessContext, ProcessFunctions } from './stream/operators/process.ts';
export type { ServedEntry, ServeOptions } from './stream/operators/serve.ts';
export type { ToOptions } from './stream/operators/to.ts';
export type {
  Grouped,
  GroupedTable,
  Stream,
  Table,
  WindowedGroup,
  WindowedTable,
} from './stream/topology/streams.ts';
export {
  type OutboxColumns,
  type OutboxOptions,
  outboxRouter,
} from './stream/topology/outbox-router.ts';
export type { OnError } from './stream/tasks/error-policy.ts';
export { type Sources, type Topology, topology } from './stream/topology/topology.ts';
export {
  type FixedWindow,
  hopping,
  session,
  type SessionWindow,
  tumbling,
  type Window,
  type Windowed,
} from './stream/topology/windows.ts';
export {
  definePipeline,
  type Figure,
  type GeneratorDatabase,
  type GeneratorOptions,
  type Pipeline,
  type PipelineDefinition,
  type Processors,
  type SourceQuery,
  type StoreReader,
  type Variables,
} from './app/pipeline.ts';
