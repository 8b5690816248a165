import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tinyLlama } from '../../../test/fixtures/tiny-llama.js';
import { plan } from '../plan.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-allocate-'));
afterAll(() => rmSync(folder, { recursive: true }));
const model = join(folder, 'tiny.gguf');
writeFileSync(model, tinyLlama());

/** Plans for a size; tells what was done and said. */
async function planned(size: number) {
  const stages = new Set<string>();
  const warnings: string[] = [];
  const options = { model, output: join(folder, 'out.gguf'), size, types: ['q4_0', 'f32'], tokens: 512 };
  const hooks = {
    progress: ({ detail }: { readonly detail?: { readonly task: string } | undefined }) => {
      if (detail) stages.add(detail.task);
    },
    warn: (line: string) => warnings.push(line),
  };
  const result = await plan({ ...options, store: join(folder, 'store') }, hooks).catch(
    (error: Error) => error,
  );
  return { result, stages: [...stages], warnings };
}

test('a size below the smallest is refused before anything is solved', async () => {
  const { result, stages } = await planned(1000);
  expect(String(result)).toMatch(
    /1000 bytes cannot be reached: the smallest possible is \d+; ask for \d+ or more/,
  );
  expect(stages).toEqual([]);
});

test('a size above the original’s is taken for that', async () => {
  const { size } = statSync(model);
  const { result, warnings } = await planned(100 * size);
  expect(result).not.toBeInstanceOf(Error);
  if (result instanceof Error) return;
  expect(result.bytes).toBeLessThanOrEqual(size);
  expect(warnings.join()).toContain(`the original has ${size} bytes`);
});
