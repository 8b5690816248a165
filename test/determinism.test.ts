import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { tersor } from './fixtures/command.js';
import { tales } from './fixtures/data.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-determinism-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Hash of the file of one run: the layers of two blocks to a type, and everything else as cheaply as can be. */
async function fingerprint(type: string, ...words: readonly string[]): Promise<string> {
  const output = join(folder, `${type}.${words.join('')}.gguf`);
  const layers = `blk\\.[01]\\.(attn_[qkvo]|ffn_[dgu])=${type}`;
  const types = ['--type', 'f16', '--embedding-type', 'q8_0', '--override', layers];
  const text = ['--calibration', tales.calibration, '--tokens', '512', '--context', '128'];
  const outcome = await tersor('compress', tales.model, '-o', output, ...types, ...text, ...words);
  expect(outcome).toMatchObject({ code: 0, stderr: '' });
  return createHash('sha256').update(readFileSync(output)).digest('hex');
}

describe.each(['q3_k', 'q4_0'])('%s', (type) => {
  const once = fingerprint(type, '--threads', '2', '--seed', '0');

  test.each(['1', '2', '3'])('the same bytes again with %s threads', async (threads) => {
    expect(await fingerprint(type, '--threads', threads)).toBe(await once);
  });

  test('other calibration text changes them', async () => {
    expect(await fingerprint(type, '--threads', '2', '--seed', '1')).not.toBe(await once);
  });
});
