export type { Change, ChangeEvent, Operation, Row } from './domain/envelope.ts';
export { defineTable, type TableRef } from './domain/table.ts';
export type { OutgoingRecord, ServedWrite } from './ports/store.ts';
export type { Processor, TaskContext, TaskState } from './stream/processor.ts';
export {
  definePipeline,
  type Figure,
  type GeneratorDatabase,
  type GeneratorOptions,
  type Pipeline,
  type SourceQuery,
  type StoreReader,
} from './app/pipeline.ts';
