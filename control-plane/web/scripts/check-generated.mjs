// Fails when src/api/schema.d.ts is not what `npm run generate` makes of the API's document.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'ribalta-schema-'));
try {
  const fresh = join(scratch, 'schema.d.ts');
  const generator = join(web, 'node_modules', 'openapi-typescript', 'bin', 'cli.js');
  execFileSync(process.execPath, [generator, join(web, '..', 'openapi.json'), '-o', fresh], { stdio: 'pipe' });
  if (readFileSync(fresh, 'utf8') !== readFileSync(join(web, 'src', 'api', 'schema.d.ts'), 'utf8')) {
    console.error('src/api/schema.d.ts is not what ../openapi.json says: run `npm run generate` and commit the result.');
    process.exitCode = 1;
  } else {
    console.log('src/api/schema.d.ts is fresh');
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
