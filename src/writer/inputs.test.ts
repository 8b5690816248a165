import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { refuseInputs } from './inputs.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-inputs-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...names: string[]) => join(folder, ...names);
mkdirSync(at('model', 'onnx'), { recursive: true });
for (const name of [
  'a.gguf',
  'other.gguf',
  'model/model.safetensors',
  'model/onnx/model.onnx',
  'model/b.gguf',
])
  writeFileSync(at(name), name);
symlinkSync(at('a.gguf'), at('soft.gguf'));
linkSync(at('a.gguf'), at('hard.gguf'));
symlinkSync(at('model'), at('linked'));
linkSync(at('model/model.safetensors'), at('weights.gguf'));

describe('outputs that are inputs', () => {
  test.each([
    ['the same file', 'a.gguf', 'a.gguf'],
    ['a link to it', 'soft.gguf', 'a.gguf'],
    ['what a link leads to', 'a.gguf', 'soft.gguf'],
    ['the same file under another name', 'hard.gguf', 'a.gguf'],
    ['a folder', 'linked', 'model'],
    ['a file of the folder', 'weights.gguf', 'model'],
    ['the folder of the input', 'model', 'linked/onnx/model.onnx'],
  ])('%s', async (_, output, input) => {
    await expect(refuseInputs(at(output), [undefined, 'owner/name', at(input)])).rejects.toThrow(
      /the output is what the job reads.*another name/,
    );
  });

  test.each([
    ['another file', 'other.gguf', 'a.gguf'],
    ['a new one', 'new.gguf', 'a.gguf'],
    ['an earlier output beside the weights', 'model/b.gguf', 'model'],
  ])('but not %s', async (_, output, input) => {
    await refuseInputs(at(output), [at(input), at('missing')]);
  });
});
