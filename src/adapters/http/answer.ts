/** What an HTTP server made of a request, as far as it matters. */
export type Answer = Readonly<{
  status: number;
  /** The beginning of the body. */
  said: string;
  retryAfterMs: number | undefined;
  location: string | undefined;
}>;

const MAX_SAID = 500;
/** So much of a body is read to the end, so that its connection can be used again. */
const MAX_BODY_BYTES = 65_536;

/** What is to be done about an answer. */
export type Verdict = 'taken' | 'refused' | 'try again' | 'not let in' | 'elsewhere';

export function verdictOf(status: number): Verdict {
  if (status >= 200 && status < 300) return 'taken';
  if (status < 400) return 'elsewhere';
  // They are about us, not about the record.
  if (status === 401 || status === 403 || status === 407) return 'not let in';
  return status >= 500 || AGAIN.has(status) ? 'try again' : 'refused';
}

/** Request Timeout, Too Early, Too Many Requests. */
const AGAIN = new Set([408, 425, 429]);

export async function readAnswer(response: Response, nowMs: number): Promise<Answer> {
  const { status, headers } = response;
  return {
    status,
    said: await beginning(response),
    retryAfterMs: retryAfterMs(headers.get('retry-after'), nowMs),
    location: headers.get('location') ?? undefined,
  };
}

/** Seconds, or a date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
export function retryAfterMs(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  const text = value.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

async function beginning({ body }: Response): Promise<string> {
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // To leave the loop hangs up.
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8').slice(0, MAX_SAID).trim();
}
