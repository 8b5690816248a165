import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import { withContext } from '../context/context.js';
import { openStore } from '../context/store.js';
import { gather } from '../prepare/prepare.js';
import { recipeOf } from '../prepare/recipe-of.js';
import { createTrialCompressor } from './trial-compression.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-trials-'));
const options = {
  model: join(folder, 'model'),
  output: join(folder, 'model.gguf'),
  tokens: 1024,
  solver: 'rtn',
};
beforeAll(() => writeMicro(options.model, micros.gpt2, 1));
afterAll(() => rmSync(folder, { recursive: true }));

test('a store keeps trials with biases kept apart from those with biases corrected', () =>
  withContext({ threads: 1 }, {}, async (context, hooks) => {
    const materials = await gather(context, options, hooks);
    const recipe = recipeOf(options, materials.calibration, { type: 'q2_0', embedding: 'q8_0' });
    const { tensors } = materials.model.architecture;
    const types = new Map(tensors.map((spec) => [spec, spec.kind === 'linear' ? 'q4_0' : 'f32']));
    const divergences = async (store: string) => {
      const compressor = createTrialCompressor(
        context,
        materials,
        await openStore(join(folder, store)),
        options,
        hooks,
      );
      const corrected = await compressor.full(types, { ...recipe, bias: 'corrected' });
      const kept = await compressor.full(types, { ...recipe, bias: 'kept' });
      await compressor.release();
      return { corrected, kept };
    };
    const { corrected, kept } = await divergences('store');
    expect(kept).not.toEqual(corrected);
    expect(await divergences('store')).toEqual({ corrected, kept });
  }));
