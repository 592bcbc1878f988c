import { addDecimals } from '../../domain/decimal.ts';
import type { ServedWrite } from '../../ports/store.ts';

type Kept = Readonly<{ value: string; expiresAtMs?: number }> | Set<string>;

/** Served keys in memory, as a store would have them. */
export class ServedKeys {
  readonly #keys = new Map<string, Kept>();

  write(write: ServedWrite): void {
    const { key } = write;
    const kept = this.#keys.get(key);
    switch (write.op) {
      case 'put':
        this.#keys.set(key, write);
        return;
      case 'delete':
        this.#keys.delete(key);
        return;
      case 'add': {
        const sum = kept === undefined || kept instanceof Set ? '0' : kept.value;
        this.#keys.set(key, { value: addDecimals(sum, write.amount) });
        return;
      }
      case 'setAdd':
        this.#keys.set(key, (kept instanceof Set ? kept : new Set<string>()).add(write.member));
        return;
      case 'setRemove':
        if (kept instanceof Set && kept.delete(write.member) && kept.size === 0)
          this.#keys.delete(key);
    }
  }

  get(key: string, nowMs: number): string | readonly string[] | undefined {
    const kept = this.#keys.get(key);
    if (kept === undefined) return undefined;
    if (kept instanceof Set) return [...kept].toSorted();
    return (kept.expiresAtMs ?? Infinity) <= nowMs ? undefined : kept.value;
  }

  keys(prefix: string, nowMs: number): string[] {
    const keys = [...this.#keys.keys()].filter((key) => key.startsWith(prefix));
    return keys.filter((key) => this.get(key, nowMs) !== undefined).toSorted();
  }
}
