/*
 * What Kafka stores, and so what is sent and fetched:
 *
 *   batch  := baseOffset i64 | length i32 | leaderEpoch i32 | magic i8 | crc u32 | attributes i16 |
 *             lastOffsetDelta i32 | baseTimestamp i64 | maxTimestamp i64 | producerId i64 |
 *             producerEpoch i16 | baseSequence i32 | count i32 | record*
 *   record := length v | attributes i8 | timestampDelta v | offsetDelta v | keyLength v | key |
 *             valueLength v | value | headerCount v { nameLength v | name | valueLength v | value }*
 *
 * Big endian; v is a zigzag varint; the length counts from the leader epoch on, the checksum
 * (CRC-32C) covers what follows it, and the records alone are compressed. A length of -1 is null.
 * See https://kafka.apache.org/documentation/#recordbatch
 */
export const LENGTH_AT = 8;
/** What the length counts begins here. */
export const COUNTED_FROM = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const SEQUENCE_AT = 53;
export const COUNT_AT = 57;
/** The records begin here. */
export const HEAD = 61;

export const MAGIC = 2;

/** The bits of the attributes. */
export const COMPRESSION = 0b111;
export const ZSTD = 4;
export const LOG_APPEND_TIME = 1 << 3;
export const TRANSACTIONAL = 1 << 4;
export const CONTROL = 1 << 5;
