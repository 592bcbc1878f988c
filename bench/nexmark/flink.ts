/**
 * Events a second and core that Flink publishes for these queries: version 1.13, state in RocksDB,
 * exactly once, 100 million events that its source makes up itself.
 * https://github.com/nexmark/nexmark#benchmark-results
 */
export const FLINK_EVENTS_PER_S: Readonly<Record<string, number>> = {
  q0: 155_020,
  q1: 157_940,
  q2: 175_210,
  q3: 152_120,
  q5: 22_140,
  q7: 12_330,
  q8: 146_140,
  q11: 39_700,
  q18: 53_700,
  q19: 44_040,
};
