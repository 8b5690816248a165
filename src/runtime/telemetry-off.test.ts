import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'tersor-telemetry-'));
afterAll(() => rmSync(folder, { recursive: true }));

const program = `
  const { createGemm } = await import(${JSON.stringify(new URL('../../dist/runtime/gemm.js', import.meta.url).href)});
  const gemm = createGemm({ threads: 1 });
  const one = { data: Float32Array.of(2), shape: [1, 1] };
  const [product] = await gemm(one, one);
  await gemm.release();
  if (product !== 4) throw new Error('no product');`;
const inWorker = `
  const { Worker } = await import('node:worker_threads');
  const url = new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(program)}));
  const worker = new Worker(url);
  await new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve));`;

/** Names of everything that a program leaves in its home and its working directory. */
function leftBy(code: string): string[] {
  const home = mkdtempSync(join(folder, 'home-'));
  const { ORT_DISABLE_TELEMETRY: _, CI: __, GITHUB_ACTIONS: ___, VITEST: ____, ...rest } = process.env;
  execFileSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: home,
    env: { ...rest, HOME: home, XDG_CACHE_HOME: join(home, '.cache') },
  });
  return readdirSync(home);
}

test.each([
  ['the main thread', program],
  ['a worker', inWorker],
])('onnxruntime leaves no device id and no database behind, in %s', (_, code) => {
  expect(leftBy(code)).toEqual([]);
});
