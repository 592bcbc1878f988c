const KEPT_CHARACTERS = 16_384;
const LAST_LINES = 12;

/** The last of what a program printed, without the secrets that its environment holds. */
export class LastOutput {
  readonly #secrets: readonly string[];
  #kept = '';

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#secrets = Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && value.length > 3 && IS_SECRET.test(name) ? [value] : [],
    );
  }

  add(text: string): void {
    this.#kept += text;
    // Cut only now and then: a long run prints a little at a time.
    if (this.#kept.length > 2 * KEPT_CHARACTERS) this.#kept = this.#kept.slice(-KEPT_CHARACTERS);
  }

  get text(): string {
    let shown = this.#kept.slice(-KEPT_CHARACTERS);
    for (const secret of this.#secrets) shown = shown.replaceAll(secret, '***');
    return shown.replaceAll(/(:\/\/[^\s:/@]*):[^\s@]*@/g, '$1:***@');
  }

  /** Those that say why it ended: none that name a line of Java's code, nor a start without trouble. */
  lastLines(): string {
    const lines = this.text.split('\n').filter((line) => line.trim() !== '' && !NOISE.test(line));
    return lines.slice(-LAST_LINES).join('\n');
  }
}

const IS_SECRET = /PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE_KEY/i;
const NOISE = /^\s+at |^\s*\.\.\. \d+ more|\b(INFO|DEBUG|WARN) |^\s+File "|^WARNING: /;
