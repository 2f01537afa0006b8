// Runs the tests of one folder: bundles each *.test.ts (Node 18 reads no TypeScript) and hands them to Node's own runner.
//   usage: node tests/run.mjs unit|pages [part of a file's name]
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));
const [kind = 'unit', part = ''] = process.argv.slice(2);
const folder = join(web, 'tests', kind);
const out = join(web, 'node_modules', '.cache', 'tests', kind);

if (kind === 'pages' && !existsSync(join(web, 'dist', 'index.html'))) {
  console.error('The page tests look at what is shipped: run `npm run build` first.');
  process.exit(1);
}
const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts') && name.includes(part));
if (files.length === 0) {
  console.error(`no test file in tests/${kind} has "${part}" in its name`);
  process.exit(1);
}
rmSync(out, { recursive: true, force: true });
await build({
  entryPoints: files.map((name) => join(folder, name)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'warning',
});
// One file after the other: page tests share one processor with Chromium.
for (const name of files) {
  const script = join(out, name.replace(/\.ts$/, '.mjs'));
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', script], { stdio: 'inherit', cwd: web });
  if (status !== 0) process.exitCode = 1;
}
