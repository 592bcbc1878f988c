import { isUtf8 } from 'node:buffer';
import type { LogRecord } from '../../domain/record-block.ts';

/**
 * A record's key and value as text: themselves where they are UTF-8, else in base64, and then
 * named in `base64`.
 */
export type RecordText = Readonly<{
  key: string | null;
  value: string | null;
  base64: readonly ('key' | 'value')[];
}>;

export function textOf(record: Pick<LogRecord, 'key' | 'value'>): RecordText {
  const base64: ('key' | 'value')[] = [];
  const text = (part: 'key' | 'value'): string | null => {
    const bytes = record[part];
    if (bytes === null) return null;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    if (isUtf8(buffer)) return buffer.toString('utf8');
    base64.push(part);
    return buffer.toString('base64');
  };
  return { key: text('key'), value: text('value'), base64 };
}

export function bytesOf({ key, value, base64 }: RecordText): Pick<LogRecord, 'key' | 'value'> {
  const encoding = (part: 'key' | 'value') => (base64.includes(part) ? 'base64' : 'utf8');
  return {
    key: key === null ? null : Buffer.from(key, encoding('key')),
    value: value === null ? null : Buffer.from(value, encoding('value')),
  };
}
