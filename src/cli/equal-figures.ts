import type { ReconcileEvent } from '../app/operations/operations.ts';
import { formatCount } from './units.ts';

type Figure = Extract<ReconcileEvent, { kind: 'figure' }>;

/** Figures that are equal, in a line for all those whose names differ only in numbers. */
export class EqualFigures {
  readonly #families = new Map<string, { count: number; last: Figure }>();

  add(figure: Figure): void {
    const family = figure.name
      .split(':')
      .map((part) => (/^-?\d+$/.test(part) ? '*' : part))
      .join(':');
    const count = (this.#families.get(family)?.count ?? 0) + 1;
    this.#families.set(family, { count, last: figure });
  }

  lines(): string[] {
    return [...this.#families].map(([family, { count, last }]) =>
      count === 1 ? `${last.name}: ${last.source}` : `${family}: ${formatCount(count)} figures`,
    );
  }
}
