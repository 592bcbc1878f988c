import type { LakeTable, Manifest } from '../lake/manifest.ts';

/** A table that a model names, `orders` or `public.orders`. Without schema, one of `public` comes first. */
export function findTable({ tables }: Manifest, source: string): LakeTable | undefined {
  const all = Object.values(tables);
  return (
    all.find(({ schema, name }) => `${schema}.${name}` === source) ??
    all.find(({ schema, name }) => schema === 'public' && name === source) ??
    all.find(({ name }) => name === source)
  );
}

/** In words, for whoever asked for one that is not there. */
export function missingSource(source: string, { tables }: Manifest): string {
  const known = Object.values(tables).map(({ schema, name }) => `${schema}.${name}`);
  const has = known.length === 0 ? 'no table yet' : known.toSorted().join(', ');
  return `the source ${source} is not in the lake, which has ${has}`;
}
