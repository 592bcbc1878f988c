import { MillraceError } from '../../domain/errors.ts';
import { openConnection } from './connection.ts';
import type { ConnectionFacts } from './connection.ts';
import { PostgresClient } from './client.ts';
import type { Check, SourceNeeds } from './doctor-check.ts';
import { readFindings } from './doctor-findings.ts';
import type { Findings } from './doctor-findings.ts';
import { judgePublication } from './doctor-publication.ts';
import { judgeServer } from './doctor-server.ts';
import { judgeSlot } from './doctor-slot.ts';
import { judgeTables } from './doctor-tables.ts';

/**
 * Looks at all that capture will need, changes nothing, and says of each thing what it found. Throws
 * `source_unreachable` or `source_login_failed` when it cannot look.
 */
export async function checkSource(
  facts: ConnectionFacts,
  needs: SourceNeeds,
): Promise<readonly Check[]> {
  await using client = await PostgresClient.connect(facts);
  const checks = judgeSource(await readFindings(client.query, needs), needs);
  return [...checks, await checkReplicationConnection(facts)];
}

/** Has no I/O, so that a test plays every server. */
export function judgeSource(findings: Findings, needs: SourceNeeds): readonly Check[] {
  return [
    ...judgeServer(findings),
    ...judgeTables(findings),
    judgePublication(findings, needs),
    judgeSlot(findings, needs),
  ];
}

/** Tried and not deduced: a pooler or a proxy lets queries through, and not this. */
async function checkReplicationConnection(facts: ConnectionFacts): Promise<Check> {
  const check = { name: 'replication connection', expected: 'a connection that follows the WAL' };
  try {
    const connection = await openConnection(facts, { replication: true });
    await connection.query('IDENTIFY_SYSTEM').finally(() => connection.end());
    return { ...check, ok: true, found: 'one, opened and closed again' };
  } catch (error) {
    return {
      ...check,
      ok: false,
      found: saidBy(error),
      fix: '-- Mend what is named above first; connect to PostgreSQL itself, not to a pooler.',
    };
  }
}

/** The server's own words: advice to run the doctor would go in a circle. */
function saidBy(error: unknown): string {
  if (error instanceof MillraceError && typeof error.facts['said'] === 'string')
    return error.facts['said'];
  return error instanceof Error ? error.message : String(error);
}
