import {
  BlockWriter,
  headerSetCountOf,
  MAX_HEADER_SETS,
  type RecordBlock,
} from './record-block.ts';

/** Blocks are joined up to it: larger ones cost a copy, and gain nothing. */
const JOINED_BYTES = 256 * 1024;

/**
 * The same records in fewer blocks, those of a partition in their order: many small blocks cost a
 * log, and its readers, more than few large ones.
 */
export function joinBlocks(blocks: readonly RecordBlock[]): readonly RecordBlock[] {
  const partitions = Map.groupBy(blocks, ({ topic, partition }) => `${partition}/${topic}`);
  if (partitions.size === blocks.length) return blocks;
  return [...partitions.values()].flatMap((those) => runsOf(those).map(joined));
}

/** Cut into runs of which each becomes a block. */
function runsOf(blocks: readonly RecordBlock[]): readonly (readonly RecordBlock[])[] {
  const runs: RecordBlock[][] = [];
  let bytes = Infinity;
  let headerSets = 0;
  for (const block of blocks) {
    const ownHeaderSets = headerSetCountOf(block.bytes);
    bytes += block.bytes.length;
    headerSets += ownHeaderSets;
    if (bytes <= JOINED_BYTES && headerSets <= MAX_HEADER_SETS) runs.at(-1)?.push(block);
    else {
      runs.push([block]);
      bytes = block.bytes.length;
      headerSets = ownHeaderSets;
    }
  }
  return runs;
}

function joined(blocks: readonly RecordBlock[]): RecordBlock {
  const [first, ...rest] = blocks as readonly [RecordBlock, ...RecordBlock[]];
  if (rest.length === 0) return first;
  const writer = new BlockWriter(blocks.reduce((sum, { bytes }) => sum + bytes.length, 0));
  for (const { bytes } of blocks) writer.addBlock(bytes);
  return writer.take(first.topic, first.partition, 0);
}
