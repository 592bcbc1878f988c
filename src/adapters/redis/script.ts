import { createHash } from 'node:crypto';

/** A Lua script with the type of its reply. Redis runs it whole, while nobody else is served. */
export class Script<Reply> {
  readonly source: string;
  /** What Redis knows it by once it was sent. */
  readonly sha1: string;
  /** Carries the type only. */
  declare readonly reply: Reply;

  constructor(source: string) {
    this.source = source;
    this.sha1 = createHash('sha1').update(source).digest('hex');
  }
}
