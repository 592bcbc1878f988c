import { MillraceError } from '../../domain/errors.ts';

type PackageFile = Readonly<Record<string, unknown>> &
  Readonly<{
    scripts?: Readonly<Record<string, string>>;
    dependencies?: Readonly<Record<string, string>>;
    devDependencies?: Readonly<Record<string, string>>;
  }>;

/**
 * The package.json of a pipeline, or the one that `npm install millrace` has left in its folder, with
 * what is missing in it. What is there stays, apart from what npm writes without being asked.
 */
export function packageFile(
  present: string | undefined,
  { name, millrace }: Readonly<{ name: string; millrace: string }>,
): string {
  const found = present === undefined ? {} : parsed(present);
  const { test, ...scripts } = found.scripts ?? {};
  const file: PackageFile = {
    name,
    version: '0.0.0',
    private: true,
    ...found,
    // tables.ts and pipeline.ts are modules.
    type: 'module',
    scripts: {
      start: 'millrace up',
      test: test === undefined || test.includes('no test specified') ? 'node --test' : test,
      check: 'tsc',
      typegen: 'millrace typegen',
      ...scripts,
    },
    dependencies: { millrace, ...found.dependencies },
    devDependencies: { '@types/node': '^24.0.0', typescript: '^7.0.0', ...found.devDependencies },
    engines: found['engines'] ?? { node: '>=24' },
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

function parsed(text: string): PackageFile {
  try {
    return JSON.parse(text) as PackageFile;
  } catch (error) {
    throw new MillraceError('usage', { expected: 'JSON in package.json', found: String(error) });
  }
}
