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

  /** Those that name an error, as far as there are any; none that show where in the code it was. */
  lastLines(): string {
    const lines = this.text.split('\n').filter((line) => line.trim() !== '' && !NOISE.test(line));
    const telling = lines.filter((line) => IS_ERROR.test(line));
    const shown = telling.length > 0 ? telling : lines;
    return [...new Set(shown)].slice(-LAST_LINES).join('\n');
  }
}

const IS_SECRET = /PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE_KEY/i;
const NOISE =
  /^\s+at |^\s*\.\.\. \d+ more|\b(INFO|DEBUG|WARN) |^\s+File "|^[~^\s]+$|^[\w.$/<>]+\([\w$. ]+(:\d+)?\)$|^WARNING: /;
const IS_ERROR = /\bERROR\b|(Exception|Error)\b|^Caused by: |\berror: /;
