import { createHash } from 'node:crypto';

/** A Lua script with the type of its reply. Redis runs it whole, while nobody else is served. */
export class Script<Reply> {
  readonly source: string;
  /** What Redis knows it by once it was sent. */
  readonly sha1: string;
  /** Its replies have bytes where those of others have text. */
  readonly isBinary: boolean;
  /** Carries the type only. */
  declare readonly reply: Reply;

  constructor(source: string, { isBinary = false }: Readonly<{ isBinary?: boolean }> = {}) {
    this.source = source;
    this.isBinary = isBinary;
    this.sha1 = createHash('sha1').update(source).digest('hex');
  }
}
