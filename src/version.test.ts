import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { codeVersion, solves } from './version.js';

test('the code hash covers what solves, not what prints', () => {
  const names = readdirSync(fileURLToPath(new URL('.', import.meta.url)), {
    recursive: true,
    encoding: 'utf8',
  });
  const covered = new Set(names.filter(solves).map((name) => name.split(/[/\\.]/)[0]));
  for (const room of ['solver', 'grid', 'calibration', 'kernels', 'gradients', 'pipeline', 'runtime', 'text'])
    expect(covered).toContain(room);
  for (const room of ['cli', 'report', 'writer', 'index', 'gguf', 'stack', 'errors', 'version'])
    expect(covered).not.toContain(room);
  expect(['solver/gptq.test.ts', 'solver/gptq.d.ts', 'pipeline/report.js'].filter(solves)).toEqual([]);
  expect(codeVersion()).toMatch(/^[0-9a-f]{64}$/);
});
