import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Of a server at 127.0.0.1, signed by itself; the files, in PEM, go with its disposal. */
export type TemporaryCertificate = AsyncDisposable &
  Readonly<{
    /** What a client is to trust. */
    certificateFile: string;
    keyFile: string;
    /** Both in one, as Kafka's PEM keystores have it. */
    keystoreFile: string;
  }>;

const run = promisify(execFile);

export async function temporaryCertificate(): Promise<TemporaryCertificate> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-certificate-'));
  const [keyFile, certificateFile] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...name];
  await run('openssl', [...request, '-keyout', keyFile, '-out', certificateFile]);
  const keystoreFile = join(folder, 'keystore.pem');
  await writeFile(keystoreFile, [await readFile(keyFile), await readFile(certificateFile)]);
  return {
    certificateFile,
    keyFile,
    keystoreFile,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}
