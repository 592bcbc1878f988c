import { OWN_PREFIX } from '../domain/logical-message.ts';
import { parseExpressions } from './expression-list.ts';

/** Which logical messages are written: Debezium's `message.prefix.*` lists, and never our own unless they are asked for. */
export class MessageFilter {
  readonly #include: readonly RegExp[] | undefined;
  readonly #exclude: readonly RegExp[];

  private constructor(include: readonly RegExp[] | undefined, exclude: readonly RegExp[]) {
    this.#include = include;
    this.#exclude = exclude;
  }

  static parse(
    lists: Readonly<{ include?: string | undefined; exclude?: string | undefined }>,
    problems: string[],
  ): MessageFilter {
    if (lists.include && lists.exclude)
      problems.push(
        'message.prefix.include.list and message.prefix.exclude.list: expected one of them, found both',
      );
    const include = parseExpressions('message.prefix.include.list', lists.include, problems);
    const exclude = parseExpressions('message.prefix.exclude.list', lists.exclude, problems);
    return new MessageFilter(include, [...(exclude ?? []), new RegExp(`^${OWN_PREFIX}$`, 'i')]);
  }

  matches(prefix: string): boolean {
    const isIn = (list: readonly RegExp[]) => list.some((part) => part.test(prefix));
    return this.#include === undefined ? !isIn(this.#exclude) : isIn(this.#include);
  }
}
