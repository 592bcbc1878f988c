/*
 * HOT PATH. Turns the text that PostgreSQL sends for a value into the JSON that Debezium writes for
 * it with decimal.handling.mode=string, time.precision.mode=isostring, binary.handling.mode=bytes.
 * Bytes go from the WAL message to the record without becoming strings: measured at a third of the cost.
 * Text is scanned once; below about 48 bytes a plain loop beats `copy`.
 *
 * The obvious version, on strings, stands in column-encoder.test.ts as the reference.
 */

const COLUMN_KINDS = [
  'text',
  'raw',
  'float',
  'boolean',
  'numeric',
  'timestamp',
  'timestamptz0',
  'timestamptz1',
  'timestamptz2',
  'timestamptz3',
  'timestamptz4',
  'timestamptz5',
  'timestamptz6',
  'date',
  'time',
  'timetz',
  'bytea',
] as const;
type KindName = (typeof COLUMN_KINDS)[number];
/** The index of a kind's name: a small integer, so that the switch is a jump table. */
export type ColumnKind = number & { readonly __columnKind: never };

const KIND = Object.fromEntries(COLUMN_KINDS.map((name, index) => [name, index])) as Record<
  KindName,
  ColumnKind
>;

/** Built-in types by OID (pg_type.dat); every other type is written as its text. */
const KIND_OF_OID = new Map<number, ColumnKind>([
  [16, KIND.boolean],
  [17, KIND.bytea],
  [20, KIND.raw], // int8
  [21, KIND.raw], // int2
  [23, KIND.raw], // int4
  [26, KIND.raw], // oid
  [700, KIND.float],
  [701, KIND.float],
  [1082, KIND.date],
  [1083, KIND.time],
  [1114, KIND.timestamp],
  [1184, KIND.timestamptz6],
  [1266, KIND.timetz],
  [1700, KIND.numeric],
]);

const TIMESTAMPTZ = 1184;
/** By the digits of their fraction, which Debezium writes all. */
const TIMESTAMPTZ_KINDS = [
  KIND.timestamptz0,
  KIND.timestamptz1,
  KIND.timestamptz2,
  KIND.timestamptz3,
  KIND.timestamptz4,
  KIND.timestamptz5,
  KIND.timestamptz6,
] as const;

/** `typeModifier` as in pg_attribute.atttypmod; -1 without. */
export function kindOf(typeOid: number, typeModifier: number): ColumnKind {
  const digits = typeOid === TIMESTAMPTZ ? TIMESTAMPTZ_KINDS[typeModifier] : undefined;
  return digits ?? KIND_OF_OID.get(typeOid) ?? KIND.text;
}

/** Below this it costs less to reserve too much than to look at each byte. */
const COUNTED_FROM_BYTES = 16_384;

/** More bytes than the texts that stand in this range can take as JSON, apart from 40 a value. */
export function jsonBytesOf(source: Buffer, start: number, end: number): number {
  if (end - start < COUNTED_FROM_BYTES) return MAX_GROWTH * (end - start);
  let bytes = 0;
  for (let at = start; at < end; at += 1) bytes += GROWTH[source[at] as number] as number;
  return bytes;
}

/** Writes the value and returns where it ends; never more than `jsonBytesOf` tells, and 40. */
export function writeColumn(
  kind: ColumnKind,
  source: Buffer,
  start: number,
  end: number,
  out: Buffer,
  at: number,
): number {
  switch (kind as number) {
    case 0:
      return writeText(source, start, end, out, at);
    case 1:
      return writeRaw(source, start, end, out, at);
    case 2:
      return writeFloat(source, start, end, out, at);
    case 3:
      return writeBoolean(source[start] === 0x74, out, at);
    case 4:
      return writeNumeric(source, start, end, out, at);
    case 5:
      return writeTimestamp(source, start, end, out, at);
    default:
      return writeString(SLOW[kind]?.(source.toString('latin1', start, end)) ?? '', out, at);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX = Buffer.from('0123456789ABCDEF');

/** JSON's two-character escapes, by code; 0 where there is none. */
const SHORT_ESCAPE = new Uint8Array(256);
SHORT_ESCAPE[0x08] = 0x62;
SHORT_ESCAPE[0x09] = 0x74;
SHORT_ESCAPE[0x0a] = 0x6e;
SHORT_ESCAPE[0x0c] = 0x66;
SHORT_ESCAPE[0x0d] = 0x72;
SHORT_ESCAPE[QUOTE] = QUOTE;
SHORT_ESCAPE[BACKSLASH] = BACKSLASH;

/** `\u0001` is the longest that becomes of one byte. */
const MAX_GROWTH = 6;

/** How many bytes each byte may become. */
const GROWTH = Uint8Array.from({ length: 256 }, (_, code) => {
  if (code < 0x20) return SHORT_ESCAPE[code] === 0 ? MAX_GROWTH : 2;
  return code === QUOTE || code === BACKSLASH ? 2 : 1;
});

/** A JSON string of UTF-8 text: bytes from 0x80 on stand for themselves. */
function writeText(source: Buffer, start: number, end: number, out: Buffer, begin: number): number {
  let at = begin;
  out[at++] = QUOTE;
  let from = start;
  while (from < end) {
    const c = source[from] as number;
    if (c >= 0x20 && c !== QUOTE && c !== BACKSLASH) out[at++] = c;
    else {
      out[at++] = BACKSLASH;
      const short = SHORT_ESCAPE[c] as number;
      if (short !== 0) out[at++] = short;
      else {
        out[at++] = 0x75;
        out[at++] = 0x30;
        out[at++] = 0x30;
        out[at++] = HEX[c >> 4] as number;
        out[at++] = HEX[c & 15] as number;
      }
    }
    from += 1;
  }
  out[at++] = QUOTE;
  return at;
}

function writeRaw(source: Buffer, start: number, end: number, out: Buffer, begin: number): number {
  let at = begin;
  for (let from = start; from < end; from += 1) out[at++] = source[from] as number;
  return at;
}

/** NaN and the infinities are strings: JSON has no numbers for them. */
function writeFloat(source: Buffer, start: number, end: number, out: Buffer, at: number): number {
  const last = source[end - 1] as number;
  if (last >= 0x30 && last <= 0x39) return writeRaw(source, start, end, out, at);
  return writeText(source, start, end, out, at);
}

function writeBoolean(value: boolean, out: Buffer, at: number): number {
  return at + out.write(value ? 'true' : 'false', at, 'latin1');
}

function writeNumeric(
  source: Buffer,
  start: number,
  end: number,
  out: Buffer,
  begin: number,
): number {
  const last = source[end - 1] as number;
  if (last < 0x30 || last > 0x39) {
    const text = source.toString('latin1', start, end);
    return writeString(SPECIAL_NUMERIC.get(text) ?? text, out, begin);
  }
  out[begin] = QUOTE;
  const at = writeRaw(source, start, end, out, begin + 1);
  out[at] = QUOTE;
  return at + 1;
}

const SPECIAL_NUMERIC = new Map([
  ['NaN', 'NAN'],
  ['Infinity', 'POSITIVE_INFINITY'],
  ['-Infinity', 'NEGATIVE_INFINITY'],
]);

/** `2016-11-04 13:51:30.123456` becomes `"2016-11-04T13:51:30.123456Z"`. */
function writeTimestamp(
  source: Buffer,
  start: number,
  end: number,
  out: Buffer,
  begin: number,
): number {
  if (end - start < 19 || source[start + 10] !== 0x20 || source[end - 1] === 0x43 /* BC */)
    return writeString(unusualTimestamp(source.toString('latin1', start, end)), out, begin);
  let at = begin;
  out[at++] = QUOTE;
  for (let from = start; from < end; from += 1) out[at++] = source[from] as number;
  out[begin + 11] = 0x54; // T
  out[at++] = 0x5a; // Z
  out[at++] = QUOTE;
  return at;
}

function writeString(text: string, out: Buffer, at: number): number {
  return at + out.write(JSON.stringify(text), at, 'utf8');
}

/** The kinds that are rare enough to pass through strings. */
const SLOW: Readonly<Record<number, (text: string) => string>> = {
  ...Object.fromEntries(
    TIMESTAMPTZ_KINDS.map((kind, digits) => [kind, (text: string) => isoTimestamptz(text, digits)]),
  ),
  [KIND.date]: (text) => `${isoDate(text)}Z`,
  [KIND.time]: (text) => `${text === '24:00:00' ? '00:00:00' : text}Z`,
  [KIND.timetz]: isoTimetz,
  [KIND.bytea]: (text) => Buffer.from(text.slice(2), 'hex').toString('base64'),
};

/** What Java's Instant makes of the JDBC driver's infinities, taken as microseconds. */
const INFINITE_TIMESTAMP = new Map([
  ['infinity', '+294247-01-10T04:00:25.2Z'],
  ['-infinity', '-290308-12-21T19:59:27.6Z'],
]);

function unusualTimestamp(text: string): string {
  const infinite = INFINITE_TIMESTAMP.get(text);
  if (infinite !== undefined) return infinite;
  const isBc = text.endsWith(' BC');
  const [date = '', time = ''] = text.split(' ');
  return `${isoDate(isBc ? `${date} BC` : date)}T${time}Z`;
}

/** ISO 8601 years: astronomical before our era, with a sign beyond 9999. */
function isoDate(text: string): string {
  if (text === 'infinity') return '+292278994-08-17';
  if (text === '-infinity') return '-292275055-05-16';
  const [, year = '', rest = '', bc] = /^(\d+)(-\d\d-\d\d)( BC)?$/.exec(text) ?? [];
  if (bc !== undefined) {
    const before = Number(year) - 1;
    return `${before === 0 ? '' : '-'}${String(before).padStart(4, '0')}${rest}`;
  }
  return `${year.length > 4 ? '+' : ''}${year}${rest}`;
}

/** With the session's time zone at UTC the text ends in +00; fractions are padded. */
function isoTimestamptz(text: string, digits: number): string {
  if (text.endsWith('infinity')) return text;
  const isBc = text.endsWith(' BC');
  const plain = text.replace(/ BC$/, '').replace(/\+00$/, '');
  const [date = '', time = ''] = plain.split(' ');
  const [seconds, fraction = ''] = time.split('.');
  const padded = digits === 0 ? '' : `.${fraction.padEnd(digits, '0')}`;
  return `${isoDate(isBc ? `${date} BC` : date)}T${seconds}${padded}Z`;
}

/** Brought to UTC, the day left out. */
function isoTimetz(text: string): string {
  const [, h = '0', m = '0', s = '0', fraction = '', sign = '+', zh = '0', zm = '0', zs = '0'] =
    /^(\d+):(\d+):(\d+)(\.\d+)?([+-])(\d+)(?::(\d+))?(?::(\d+))?$/.exec(text) ?? [];
  const offset = (Number(zh) * 3600 + Number(zm) * 60 + Number(zs)) * (sign === '-' ? -1 : 1);
  const day = 86_400;
  const total = (((Number(h) * 3600 + Number(m) * 60 + Number(s) - offset) % day) + day) % day;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `${two(total / 3600)}:${two((total / 60) % 60)}:${two(total % 60)}${fraction}Z`;
}
