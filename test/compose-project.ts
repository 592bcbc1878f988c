import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';

type Port = string;
type Healthcheck = Readonly<{ test: string | readonly string[] }>;

/** What the tests ask of a service; the schema holds it to the rest. */
export type Service = Readonly<{
  image?: string;
  build?: Readonly<{ context: string; dockerfile: string; target: string }>;
  entrypoint?: readonly string[];
  command?: readonly string[];
  user?: string;
  environment?: Readonly<Record<string, string>>;
  ports?: readonly Port[];
  volumes?: readonly string[];
  depends_on?: Readonly<Record<string, Readonly<{ condition: string; required?: boolean }>>>;
  profiles?: readonly string[];
  healthcheck?: Healthcheck;
  mem_limit?: string;
  restart?: string;
  read_only?: boolean;
  'x-no-healthcheck'?: string;
}>;

type ComposeFile = Readonly<{
  include?: readonly string[];
  services?: Readonly<Record<string, Service>>;
  volumes?: Readonly<Record<string, unknown>>;
}>;

/** A file of the project, with the folder that its paths start from. */
export type Part = Readonly<{ path: string; folder: string; text: string; content: ComposeFile }>;

const ROOT = join(import.meta.dirname, '..');

/** The files that Compose reads at the root, given the environment. */
export function composeParts(env: Readonly<Record<string, string>> = {}): Part[] {
  const main = readPart('compose.yaml');
  const included = (main.content.include ?? []).map((path) => readPart(interpolate(path, env)));
  return [main, ...included];
}

/** Fills in `${NAME}` and `${NAME:-default}`, the forms that the project uses. */
export function interpolate(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(VARIABLE, (_, name: string, fallback = '') => env[name] || fallback);
}

/** The names of the variables that a text leaves to the environment. */
export function variablesIn(text: string): string[] {
  return Array.from(text.matchAll(VARIABLE), ([, name = '']) => name);
}

const VARIABLE = /(?<!\$)\$\{(\w+)(?::-([^}]*))?\}/g;

function readPart(path: string): Part {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const content = parse(text, { merge: true }) as ComposeFile;
  return { path, folder: dirname(join(ROOT, path)), text, content };
}
