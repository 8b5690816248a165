import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { compress } from '../compress.js';
import { commandsFor } from '../report/commands.js';
import { writtenProvenance } from './provenance.js';
import { writtenRecipe } from './recipe.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-name-'));
const model = join(folder, 'model');
beforeAll(() => writeMicro(model, micros.gpt2, 1));
afterAll(() => rmSync(folder, { recursive: true }));

/** Metadata of the GGUF that comes of the model. */
async function written(file: string, more: { readonly name?: string }) {
  const output = join(folder, file);
  const store = join(folder, 'store');
  await compress({ model, output, store, threads: 1, type: 'q8_0', solver: 'rtn', tokens: 1024, ...more });
  const checkpoint = await openCheckpoint(output);
  try {
    return checkpoint.metadata;
  } finally {
    await checkpoint.close();
  }
}

test('a GGUF has the name that is asked for, and the command that makes it again says it', async () => {
  expect((await written('plain.gguf', {}))['general.name']).toBe('model');
  const metadata = await written('named.gguf', { name: "Anna's model" });
  expect(metadata['general.name']).toBe("Anna's model");
  const recipe = writtenRecipe(writtenProvenance(metadata).recipe);
  if (!recipe) throw new Error('the file has no recipe');
  const [made] = commandsFor({ model: 'named.gguf', format: 'gguf', recipe });
  expect(made?.line).toContain(`--name 'Anna'\\''s model'`);
});

test('a name is refused where the output would not have it', async () => {
  const output = join(folder, 'onnx');
  await expect(compress({ model, output, format: 'onnx', name: 'other' })).rejects.toThrow('--name');
});
