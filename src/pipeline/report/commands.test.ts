import { expect, test } from 'vitest';
import { commandsFor } from './commands.js';

test('says the command line that a recipe stands for, as a shell wants it', () => {
  const [made, measured] = commandsFor({
    model: "it's small.gguf",
    original: './model',
    calibration: 'my text.txt',
    format: 'gguf',
    recipe: {
      maxDivergence: 0.05,
      types: ['q3_k', 'q6_k'],
      overrides: { 'ffn_(up|down)': 'q6_k' },
      solver: 'gptq',
      options: { damping: 0.02 },
      calibrateOn: 'original',
      context: 256,
      tokens: 4096,
      seed: 0,
    },
  });
  expect(made?.line).toBe(
    "tersor compress ./model -o 'it'\\''s small.gguf' --max-divergence 0.05 --override 'ffn_(up|down)=q6_k' " +
      '--types q3_k,q6_k --solver gptq --solver-option damping=0.02 --calibrate-on original --tokens 4096 ' +
      "--context 256 --seed 0 --calibration 'my text.txt'",
  );
  expect(measured?.line).toBe("tersor evaluate 'it'\\''s small.gguf' --against ./model --text TEXT.txt");
});

test('a file of unknown making can only be measured', () => {
  const lines = commandsFor({ model: 'folder', format: 'safetensors' }).map(({ line }) => line.split(' ')[1]);
  expect(lines).toEqual(['evaluate', 'report', 'inspect']);
});
