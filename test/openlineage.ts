import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { must } from '../src/lib/must.ts';

const SCHEMAS = join(import.meta.dirname, 'schemas/openlineage');

/** Holds each event, and each of its facets, against the schema that it names itself. */
export async function assertOpenLineage(
  events: readonly Readonly<Record<string, unknown>>[],
): Promise<void> {
  const ajv = new Ajv2020({ strict: false });
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  ajv.addFormat('uri', (value) => URL.canParse(value));
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  for (const file of await readdir(SCHEMAS))
    if (file.endsWith('.json'))
      ajv.addSchema(JSON.parse(await readFile(join(SCHEMAS, file), 'utf8')) as object);
  const check = (url: unknown, value: unknown): void => {
    const validate = must(ajv.getSchema(String(url)), `there is a schema ${String(url)}`);
    assert.equal(validate(value), true, `${String(url)}: ${ajv.errorsText(validate.errors)}`);
  };
  for (const event of events) {
    check(event['schemaURL'], event);
    const { run = {}, job = {}, inputs = [], outputs = [] } = event;
    const holders = [run, job, ...(inputs as unknown[]), ...(outputs as unknown[])];
    for (const holder of holders)
      for (const [field, facets] of Object.entries(holder as object))
        if (/facets$/i.test(field))
          for (const each of Object.values(facets as Record<string, { _schemaURL: string }>))
            check(each._schemaURL, each);
  }
}
