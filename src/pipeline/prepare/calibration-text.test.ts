import { expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import { withContext } from '../context/context.js';
import { prepare } from './prepare.js';

test('a text of few tokens for the widest layers is remarked on, with a number that would do', async () => {
  const warningsAt = async (tokens: number) => {
    const warnings: string[] = [];
    const { model, calibration } = tales;
    await withContext({ threads: 1 }, {}, (context) =>
      prepare(
        context,
        { model, output: 'unwritten.gguf', type: 'q4_0', calibration, tokens, context: 64 },
        { warn: (line) => warnings.push(line) },
      ),
    );
    return warnings.filter((line) => line.includes('--tokens'));
  };
  // Layers of tales have 768 inputs at most.
  expect(await warningsAt(1472)).toEqual([
    '1472 calibration tokens are few for layers of 768 inputs, which then stay near plain rounding; ' +
      '--tokens 1536 would give a better model',
  ]);
  expect(await warningsAt(1536)).toEqual([]);
});
