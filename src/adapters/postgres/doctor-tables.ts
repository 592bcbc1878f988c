import pg from 'pg';
import type { Check } from './doctor-check.ts';
import type { Findings, TableFindings } from './doctor-findings.ts';
import { qualifiedName } from './publication.ts';

const { escapeIdentifier } = pg;

/** What capture needs of the tables that the configuration names. */
export function judgeTables(findings: Findings): readonly Check[] {
  return [
    checkTables(findings),
    checkReadable(findings),
    checkRowSecurity(findings),
    checkReplicaIdentity(findings),
  ];
}

function checkTables({ tables }: Findings): Check {
  return {
    name: 'tables',
    ok: tables.length > 0,
    expected: 'at least one table that the configuration names',
    found: tables.length > 0 ? listOf(tables) : 'none',
    ...(tables.length === 0 && {
      fix: '-- Correct table.include.list in connector.json, or create the tables.',
    }),
  };
}

function checkReadable({ tables, role }: Findings): Check {
  const closed = tables.filter(({ isReadable }) => !isReadable);
  const to = escapeIdentifier(role.name);
  const schemas = new Set(closed.map(({ schema }) => escapeIdentifier(schema)));
  return {
    name: 'select privilege',
    ok: closed.length === 0,
    expected: 'every table may be read, for the first copy',
    found: closed.length === 0 ? 'every table may be read' : `not: ${listOf(closed)}`,
    ...(closed.length > 0 && {
      fix: [
        ...[...schemas].map((schema) => `GRANT USAGE ON SCHEMA ${schema} TO ${to};`),
        `GRANT SELECT ON ${sqlListOf(closed)} TO ${to};`,
      ].join('\n'),
    }),
  };
}

function checkRowSecurity({ tables, role }: Findings): Check {
  const hiding = tables.filter(({ hidesRows }) => hidesRows);
  return {
    name: 'row security',
    ok: hiding.length === 0,
    expected: 'no rows hidden from this role: a copy would miss them',
    found: hiding.length === 0 ? 'none hidden' : `policies apply on ${listOf(hiding)}`,
    ...(hiding.length > 0 && { fix: `ALTER ROLE ${escapeIdentifier(role.name)} BYPASSRLS;` }),
  };
}

/** Without one, PostgreSQL refuses UPDATE and DELETE on a published table: the application would fail. */
function checkReplicaIdentity({ tables, publication }: Findings): Check {
  const needsNone =
    publication !== undefined &&
    ['UPDATE', 'DELETE'].every((kind) => publication.leavesOut.includes(kind));
  const without = needsNone ? [] : tables.filter((table) => !hasIdentity(table));
  return {
    name: 'replica identity',
    ok: without.length === 0,
    expected:
      'a primary key or REPLICA IDENTITY FULL on every table, or its UPDATEs and DELETEs fail',
    found: without.length === 0 ? 'on every table' : `none on ${listOf(without)}`,
    ...(without.length > 0 && {
      fix: without
        .map((table) => `ALTER TABLE ${qualifiedName(table)} REPLICA IDENTITY FULL;`)
        .join('\n'),
    }),
  };
}

function hasIdentity({ replicaIdentity, primaryKey, hasIdentityIndex }: TableFindings): boolean {
  const RULES = {
    full: true,
    default: primaryKey.length > 0,
    index: hasIdentityIndex,
    nothing: false,
  } as const satisfies Record<TableFindings['replicaIdentity'], boolean>;
  return RULES[replicaIdentity];
}

/** For people. */
export function listOf(tables: readonly TableFindings[]): string {
  return tables.map(({ schema, name }) => `${schema}.${name}`).join(', ');
}

/** For PostgreSQL. */
export function sqlListOf(tables: readonly TableFindings[]): string {
  return tables.map(qualifiedName).join(', ');
}
