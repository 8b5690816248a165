import { expect, test } from 'vitest';
import { nextSteps } from './next-steps.js';

test('says what runs a GGUF', () => {
  expect(nextSteps('gguf', 'My model.gguf', true)?.split('\n')).toEqual([
    `next  tersor run 'My model.gguf' "Once upon a time"`,
    `      llama-server -m 'My model.gguf'`,
    `      echo 'FROM ./My model.gguf' > Modelfile && ollama create my-model -f Modelfile`,
  ]);
  expect(nextSteps('gguf', '/models/a.gguf', true)).toContain(`'FROM /models/a.gguf'`);
});

test('and what runs folders', () => {
  expect(nextSteps('gptq', 'folder', true)).toBe('next  vllm serve folder');
  expect(nextSteps('onnx', 'folder', true)).toContain('tersor run folder');
  expect(nextSteps('onnx', 'folder', false)).toBeUndefined();
});
