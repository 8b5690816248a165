import { expect, test } from 'vitest';
import { outputFormats } from './index.js';
import { checkTypeNames } from './type-names.js';

const check = (format: 'gguf' | 'onnx' | 'gptq' | 'safetensors', options: object) => {
  const found = outputFormats[format];
  if (!('compress' in found)) checkTypeNames({ model: 'a', output: 'b', ...options }, found);
};

test.each([
  ['gguf', { type: 'q4kk' }, /^--type: there is no type q4kk; did you mean q4_k\? choose one of f32, f16,/],
  ['onnx', { type: 'q4_k_m' }, /^--type: there is no type q4_k_m; /],
  ['gguf', { embeddingType: 'q4_k_m' }, /^--embedding-type: .*did you mean q4_k\?/],
  ['gguf', { type: 'q4_k_x' }, /did you mean q4_k/],
  ['gguf', { embeddingType: 'q6k' }, /^--embedding-type: .*did you mean q6_k\?/],
  [
    'gguf',
    { overrides: [{ pattern: /up/, type: 'q8' }] },
    /^--override: there is no type q8; did you mean q8_0\?/,
  ],
  [
    'gguf',
    { fallback: 'nothing-like-it' },
    /^--fallback: there is no type nothing-like-it; choose one of f32, /,
  ],
  ['gguf', { types: ['q4_k', 'q5k'] }, /^--types: .*did you mean q5_k\?/],
  ['onnx', { type: 'int44' }, /did you mean int4\? choose one of int2, int4, int8/],
  ['safetensors', { type: 'fp8-e4m4' }, /did you mean fp8-e4m3\?/],
] as const)('%s, %j', (format, options, message) => {
  expect(() => check(format, options)).toThrow(message);
});

test('names that there are pass, patterns of a list included', () => {
  check('gguf', { type: 'q4_k', types: ['q4_k', 'int4-r*'], overrides: [{ pattern: /up/, type: 'f16' }] });
  check('gptq', { type: 'int4-g128' });
  for (const format of ['gguf', 'safetensors'] as const) check(format, { type: 'q4_k_m' });
});
