import pg from 'pg';
import type { Check, SourceNeeds } from './doctor-check.ts';
import type { Findings, PublicationFindings, TableFindings } from './doctor-findings.ts';
import { listOf, sqlListOf } from './doctor-tables.ts';
import { qualifiedName } from './publication.ts';

const { escapeIdentifier } = pg;

type Judgement = Omit<Check, 'name'>;

/** Whether the publication fits, or will be made to fit at the start. */
export function judgePublication(findings: Findings, needs: SourceNeeds): Check {
  const { publication } = findings;
  const judgement =
    publication === undefined
      ? judgeMissing(findings, needs)
      : judgeExisting(findings, publication, needs);
  return { name: `publication ${needs.publication}`, ...judgement };
}

function judgeMissing({ role, tables }: Findings, needs: SourceNeeds): Judgement {
  const expected = 'one, or the right to create it';
  const create = createStatement(needs, tables);
  if (needs.publicationMode === 'disabled') {
    const found = 'none, and publication.autocreate.mode is disabled';
    return { ok: false, expected: 'one that exists', found, fix: create };
  }
  if (role.isSuperuser) return { ok: true, expected, found: 'none yet' };
  if (needs.publicationMode === 'all_tables') {
    const found = 'none, and only a superuser creates one for all tables';
    return { ok: false, expected, found, fix: `${create} -- as a superuser` };
  }
  const foreign = tables.filter(({ isOwned }) => !isOwned);
  if (foreign.length > 0) {
    const found = `none, and ${role.name} does not own ${listOf(foreign)}`;
    return { ok: false, expected, found, fix: `${create} -- as the owner of the tables` };
  }
  if (role.mayCreateInDatabase) return { ok: true, expected, found: 'none yet' };
  const [database, to] = [escapeIdentifier(role.database), escapeIdentifier(role.name)];
  return {
    ok: false,
    expected,
    found: `none, and ${role.name} may not create in database ${role.database}`,
    fix: `GRANT CREATE ON DATABASE ${database} TO ${to};`,
  };
}

/** As capture brings a publication to exactly the tables it wants, unless that is disabled. */
function judgeExisting(
  { role, tables }: Findings,
  publication: PublicationFindings,
  needs: SourceNeeds,
): Judgement {
  const expected = EXPECTED[needs.publicationMode];
  const missing = tables.filter((table) => !publishes(publication, table));
  const found = missing.length > 0 ? `without ${listOf(missing)}` : describeTables(publication);
  if (!fits(publication, tables, needs)) {
    const isFilteredByUs =
      needs.publicationMode === 'filtered' && publication.isOwned && tables.every((t) => t.isOwned);
    const isBroughtToFit =
      needs.publicationMode !== 'disabled' && (role.isSuperuser || isFilteredByUs);
    if (!isBroughtToFit) {
      return { ok: false, expected, found, fix: changeStatement(publication, needs, tables) };
    }
    return { ok: true, expected, found: `${found}; changed at the start` };
  }
  if (publication.leavesOut.length === 0) return { ok: true, expected, found };
  const name = escapeIdentifier(needs.publication);
  return {
    ok: 'warning',
    expected: `${expected}, and every kind of change`,
    found: `${found}, without ${publication.leavesOut.join(', ')}`,
    fix: `ALTER PUBLICATION ${name} SET (publish = 'insert, update, delete, truncate');`,
  };
}

const EXPECTED = {
  all_tables: 'one for all tables',
  filtered: 'one for exactly the tables that the configuration names',
  disabled: 'one with every table that the configuration names',
} as const satisfies Record<SourceNeeds['publicationMode'], string>;

function fits(
  publication: PublicationFindings,
  tables: readonly TableFindings[],
  { publicationMode }: SourceNeeds,
): boolean {
  if (publicationMode === 'all_tables') return publication.isForAll;
  if (publicationMode === 'disabled') return tables.every((table) => publishes(publication, table));
  const { isForAll, hasSchemas, named } = publication;
  const namesAll = tables.every((table) => named.has(qualifiedName(table)));
  return !isForAll && !hasSchemas && namesAll && named.size === tables.length;
}

function publishes({ isForAll, tables }: PublicationFindings, table: TableFindings): boolean {
  return isForAll || tables.has(qualifiedName(table));
}

function describeTables({ isForAll, hasSchemas, tables }: PublicationFindings): string {
  if (isForAll) return 'one for all tables';
  const whole = hasSchemas ? 'whole schemas: ' : '';
  return `one for ${whole}${[...tables].join(', ') || 'no table'}`;
}

function createStatement(needs: SourceNeeds, tables: readonly TableFindings[]): string {
  const create = `CREATE PUBLICATION ${escapeIdentifier(needs.publication)}`;
  if (needs.publicationMode === 'all_tables') return `${create} FOR ALL TABLES;`;
  return tables.length === 0 ? `${create};` : `${create} FOR TABLE ${sqlListOf(tables)};`;
}

function changeStatement(
  { isForAll }: PublicationFindings,
  needs: SourceNeeds,
  tables: readonly TableFindings[],
): string {
  const name = escapeIdentifier(needs.publication);
  // FOR ALL TABLES can neither be set nor unset, and SET TABLE takes no empty list.
  if (isForAll || needs.publicationMode === 'all_tables' || tables.length === 0) {
    return `DROP PUBLICATION ${name}; ${createStatement(needs, tables)}`;
  }
  return `ALTER PUBLICATION ${name} SET TABLE ${sqlListOf(tables)};`;
}
