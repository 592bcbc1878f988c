import type { Topology } from '../../src/index.ts';
import { q0 } from './queries/q0.ts';
import { q1 } from './queries/q1.ts';
import { q11 } from './queries/q11.ts';
import { q18 } from './queries/q18.ts';
import { q19 } from './queries/q19.ts';
import { q2 } from './queries/q2.ts';
import { q3 } from './queries/q3.ts';
import { q5 } from './queries/q5.ts';
import { q7 } from './queries/q7.ts';
import { q8 } from './queries/q8.ts';

/** The queries, each of which writes to the topic `nexmark-<name>`. */
export const QUERIES: readonly Topology[] = [q0, q1, q2, q3, q5, q7, q8, q11, q18, q19];
