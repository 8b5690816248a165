import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-determinism-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Hash of the file of one run: the layers of two blocks to a type, and everything else as cheaply as can be. */
async function fingerprint(type: string, ...words: readonly string[]): Promise<string> {
  const output = join(folder, 'model.gguf');
  const layers = `blk\\.[01]\\.(attn_[qkvo]|ffn_[dgu])=${type}`;
  const types = ['--type', 'f16', '--embedding-type', 'q8_0', '--override', layers];
  const text = ['--calibration', tales.calibration, '--tokens', '512', '--context', '128'];
  const outcome = await tersor('compress', tales.model, '-o', output, ...types, ...text, ...words);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  const bytes = readFileSync(output);
  rmSync(output);
  return createHash('sha256').update(bytes).digest('hex');
}

describe.each(['q3_k', 'q4_0'])('%s', (type) => {
  let once = '';
  beforeAll(async () => {
    once = await fingerprint(type, '--threads', '2');
  });

  test.each(['1', '2', '3'])('the same bytes again with %s threads', async (threads) => {
    expect(await fingerprint(type, '--threads', threads)).toBe(once);
  });
});
