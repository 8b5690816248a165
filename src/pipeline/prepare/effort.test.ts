import { expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import type { Architecture } from '../../architecture/architecture.js';
import { llama } from '../../architecture/llama.js';
import { openModel } from '../../architecture/model.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import { withContext } from '../context/context.js';
import type { CompressOptions } from '../options.js';
import { withEffort } from './effort.js';

const checkpoint = await openCheckpoint(tales.model);
const small = (await openModel(checkpoint)).architecture;
await checkpoint.close();
/** The shape of TinyLlama 1.1B. */
const large = llama(
  {
    modelType: 'llama',
    layers: 22,
    hidden: 2048,
    intermediate: 5632,
    heads: 32,
    kvHeads: 4,
    vocabulary: 32000,
    context: 2048,
    epsilon: 1e-5,
    rotary: { headDim: 64, theta: 10000 },
  },
  ({ kind }) => kind === 'head',
);

function chosen(architecture: Architecture, options: Partial<CompressOptions>) {
  const warnings: string[] = [];
  return withContext({ threads: 1 }, {}, async (context) => {
    const given = { model: 'model', output: 'a.gguf', ...options };
    const hooks = { warn: (message: string) => void warnings.push(message) };
    const { solver, match, tokens, solverOptions } = await withEffort(context, given, architecture, hooks);
    return { solver, match, tokens, solverOptions, warnings };
  });
}

test('the effort that is meant without one takes the best recipe for small models, and GPTQ for large ones', async () => {
  expect(await chosen(small, {})).toMatchObject({ solver: 'decoupleq', tokens: undefined });
  // Four tokens for each of 5632 inputs.
  expect(await chosen(large, {})).toMatchObject({ solver: 'gptq', match: undefined, tokens: 22528 });
  expect(await chosen(large, { effort: 'balanced' })).toEqual(await chosen(large, {}));
});

test('quick and thorough are the same for every model', async () => {
  for (const architecture of [small, large]) {
    expect(await chosen(architecture, { effort: 'quick' })).toMatchObject({ solver: 'gptq', match: 'own' });
    expect(await chosen(architecture, { effort: 'thorough' })).toMatchObject({ solver: 'decoupleq' });
  }
});

test('what is given stays', async () => {
  const given = { solver: 'quantease', match: 'original', tokens: 100 } as const;
  expect(await chosen(large, { effort: 'quick', ...given })).toMatchObject(given);
  const options = { solverOptions: { temperature: 1 } };
  expect(await chosen(large, { effort: 'quick', ...options })).toMatchObject({
    solver: undefined,
    ...options,
  });
});

test('with more minutes there is a better recipe, and a note where none is quick enough', async () => {
  const quality = ['gptq own', 'gptq', 'decoupleq 0', 'decoupleq'];
  const ranks: number[] = [];
  for (const effort of [0.1, 5, 15, 60, 600, 6000]) {
    const { solver, match, solverOptions, warnings } = await chosen(large, { effort });
    const name = [solver, match, solverOptions?.temperature].filter((each) => each !== undefined).join(' ');
    ranks.push(quality.indexOf(name));
    if (effort === 0.1) expect(warnings.join()).toMatch(/quickest recipe is expected to take \d+ min/);
    if (effort === 6000) expect(warnings).toEqual([]);
  }
  expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
  expect(ranks.at(-1)).toBe(3);
  expect(ranks[0]).toBe(0);
});

test('an effort beside what decides on the same is refused', async () => {
  await expect(chosen(small, { effort: 'quick', imatrix: 'a.dat' })).rejects.toThrow(
    '--effort and --imatrix contradict each other',
  );
  const { solver } = await chosen(small, { imatrix: 'a.dat' });
  expect(solver).toBeUndefined();
});
