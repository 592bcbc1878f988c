import type { GraphNode } from './graph.ts';

/** An operator, as messages name it, and what its served keys start with. */
export type Serving = Readonly<{ who: string } & NonNullable<GraphNode['serves']>>;

/** What is wrong: a served key has one writer, unless all that write it only add. */
export function servingProblems(serving: readonly Serving[]): string[] {
  return serving.flatMap((a, at) =>
    serving
      .slice(at + 1)
      .filter((b) => a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix))
      .filter((b) => !(a.isCommutative && b.isCommutative))
      .map(
        (b) =>
          `${a.who} serves keys under "${a.prefix}" and ${b.who} under "${b.prefix}": a key has one writer; serve both from one operator, or under prefixes of which none starts with the other`,
      ),
  );
}
