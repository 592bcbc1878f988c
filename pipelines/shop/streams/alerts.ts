import type { Stream } from '../../../src/index.ts';
import { isoTime } from './windows.ts';

export const SEVERITIES = {
  high_value_order: 'MEDIUM',
  bulk_orders_detected: 'HIGH',
  rapid_stock_depletion: 'HIGH',
  geographic_anomaly: 'LOW',
} as const;
export type AlertType = keyof typeof SEVERITIES;

export type Alert = Readonly<{
  type: AlertType;
  severity: (typeof SEVERITIES)[AlertType];
  data: Readonly<Record<string, unknown>>;
  /** The commit time of the record that caused it. */
  timestamp: string;
}>;

/** What there is to be told, and by which record. */
export type Cause = Readonly<{
  data: Alert['data'];
  /** Names the record among those that cause alerts of the type: a replay finds the same. */
  record: string;
}>;

/**
 * An alert for each element of which `causeOf` tells one. The key is what follows `alerts:` in the
 * store: `<type>:<epoch s>-<record>`.
 */
export function raise<K, V>(
  stream: Stream<K, V>,
  type: AlertType,
  causeOf: (value: V, key: K) => Cause | undefined,
): Stream<string, Alert> {
  return stream
    .flatMap((value, key, timeMs) => {
      const cause = causeOf(value, key);
      if (cause === undefined) return [];
      const { data, record } = cause;
      const alert = { type, severity: SEVERITIES[type], data, timestamp: isoTime(timeMs) };
      return [{ alert, key: `${type}:${Math.floor(timeMs / 1000)}-${record}` }];
    })
    .selectKey(({ key }) => key)
    .map(({ alert }): Alert => alert);
}
