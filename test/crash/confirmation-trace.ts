import { formatLsn, parseLsn, type Lsn } from '../../src/domain/lsn.ts';

/** What a trace shows. */
export type TraceFigures = Readonly<{
  /** Of an LSN above all before. */
  confirmations: number;
  fdatasyncs: number;
  problems: readonly string[];
}>;

type Call = Readonly<{ name: string; text: string }>;

/** A standby status update in CopyData: 'd', length 38, 'r', LSNs written, flushed, applied, clock, reply. */
const STATUS_BYTES = 39;
const STATUS_HEAD = Buffer.from('d\0\0\0&r', 'latin1');
const FLUSHED_AT = STATUS_HEAD.length + 8;
/** Quotes are escaped where the position is a string within JSON. */
const POSITION_END = /\\?"end\\?":\\?"([0-9A-F]+\/[0-9A-F]+)/g;

/**
 * Reads what `strace -f -y -x` saw of a capture, from its first start on, line by line, and checks
 * that no position was confirmed to the server before it was on the disk: written to a file of the
 * log, then an fdatasync of that file that has returned, then LMDB's meta page, on a descriptor
 * opened with O_DSYNC, which has returned as well.
 */
export class ConfirmationTrace {
  readonly #logFolder: string;
  readonly #unfinished = new Map<string, Call>();
  readonly #dsyncDescriptors = new Set<string>();
  /** By file: the highest position written, and the highest that an fdatasync came after. */
  readonly #written = new Map<string, Lsn>();
  readonly #synced = new Map<string, Lsn>();
  readonly #problems: string[] = [];
  #durable = 0n as Lsn;
  #confirmed = 0n as Lsn;
  #confirmations = 0;
  #fdatasyncs = 0;

  constructor(logFolder: string) {
    this.#logFolder = logFolder;
  }

  line(line: string): void {
    const [, process = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    if (resumed !== null) {
      const call = this.#unfinished.get(process);
      this.#unfinished.delete(process);
      if (call !== undefined) this.#ended({ ...call, text: call.text + (resumed[2] ?? '') });
      return;
    }
    const name = /^(\w+)\(/.exec(rest)?.[1];
    if (name === undefined) return;
    const [started = '', ...more] = rest.split(' <unfinished ...>');
    this.#started({ name, text: started });
    if (more.length > 0) this.#unfinished.set(process, { name, text: started });
    else this.#ended({ name, text: rest });
  }

  figures(): TraceFigures {
    return {
      confirmations: this.#confirmations,
      fdatasyncs: this.#fdatasyncs,
      problems: this.#problems,
    };
  }

  /** A confirmation counts from when it begins to be sent. */
  #started({ name, text }: Call): void {
    if (!/^(write|writev|sendto|sendmsg)$/.test(name) || this.#fileOf(text) !== undefined) return;
    for (const bytes of stringsOf(text)) {
      for (let at = bytes.indexOf(STATUS_HEAD); at >= 0; at = bytes.indexOf(STATUS_HEAD, at + 1)) {
        if (bytes.length - at < STATUS_BYTES) break;
        this.#confirm(bytes.readBigUInt64BE(at + FLUSHED_AT) as Lsn);
      }
    }
  }

  /** What is durable counts from when its call has returned. */
  #ended({ name, text }: Call): void {
    const succeeded = / = \d+(<[^>]*>)?$/.test(text);
    if (!succeeded) return;
    if (name === 'openat') {
      const descriptor = / = (\d+)<[^>]*>$/.exec(text)?.[1];
      if (descriptor === undefined) return;
      if (text.includes('O_DSYNC')) this.#dsyncDescriptors.add(descriptor);
      else this.#dsyncDescriptors.delete(descriptor);
      return;
    }
    const file = this.#fileOf(text);
    if (file === undefined) return;
    if (name === 'fdatasync') this.#sync(file);
    else if (this.#dsyncDescriptors.has(/\((\d+)</.exec(text)?.[1] ?? '')) this.#commit(file);
    else this.#write(file, text);
  }

  #write(file: string, text: string): void {
    for (const bytes of stringsOf(text)) {
      for (const [, end = ''] of bytes.toString('latin1').matchAll(POSITION_END)) {
        const position = parseLsn(end);
        if (position > (this.#written.get(file) ?? 0n)) this.#written.set(file, position);
      }
    }
  }

  #sync(file: string): void {
    this.#fdatasyncs += 1;
    const written = this.#written.get(file);
    if (written !== undefined) this.#synced.set(file, written);
  }

  #commit(file: string): void {
    const synced = this.#synced.get(file);
    if (synced !== undefined && synced > this.#durable) this.#durable = synced;
  }

  #confirm(position: Lsn): void {
    if (position <= this.#confirmed) return;
    this.#confirmed = position;
    this.#confirmations += 1;
    if (position > this.#durable)
      this.#problems.push(
        `${formatLsn(position)} was confirmed when only ${formatLsn(this.#durable)} was durable`,
      );
  }

  /** The log's file that a call's first argument, a descriptor, stands for. */
  #fileOf(text: string): string | undefined {
    const path = /^\w+\(\d+<([^>]*)>/.exec(text)?.[1];
    return path?.startsWith(this.#logFolder) === true ? path : undefined;
  }
}

/** The strings of a call, as bytes. */
function stringsOf(text: string): Buffer[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, quoted = '']) =>
    Buffer.from(
      quoted.replaceAll(
        /\\x([0-9a-f]{2})|\\([0-7]{1,3})|\\(.)/g,
        (_, hex?: string, octal?: string, other = '') => {
          if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
          if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
          return { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' }[String(other)] ?? String(other);
        },
      ),
      'latin1',
    ),
  );
}
