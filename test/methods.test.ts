import { expect, test } from 'vitest';
import { methodsPage } from '../scripts/methods-page.js';
import { methods } from '../src/pipeline/methods.js';

test('docs/methods.md is what the tables say (npm run docs:methods writes it anew)', async () => {
  await expect(methodsPage()).toMatchFileSnapshot('../docs/methods.md');
});

test('every method says where it wins, with a figure, a paper, and something is recommended in each list', () => {
  const { solvers, searches, sensitivity, corrections, onnx, vllm, families } = methods();
  for (const list of [solvers, searches, sensitivity, corrections, onnx, vllm, families]) {
    for (const { title, paper, wins } of list) {
      expect(paper, title).not.toBe('');
      expect(wins, title).toMatch(/\d|^inside /);
    }
    expect(list.some(({ status }) => status === 'recommended')).toBe(true);
  }
});
