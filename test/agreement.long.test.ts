import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Agreement, agreement } from './fixtures/agreement.js';
import { shared, sharedMissing, tales } from './fixtures/data.js';
import { needs } from './fixtures/needs.js';

// Ten times what two engines differ by that round sums in different orders; a wrong epsilon alone costs more.
const largestShift = 0.001;
const perplexityShare = 0.0005;

const folder = mkdtempSync(join(tmpdir(), 'tersor-agreement-'));
afterAll(() => rmSync(folder, { recursive: true }));

function expectAgreement(result: Agreement): void {
  expect(result.tokens).toBeGreaterThanOrEqual(2000);
  expect(result.largestShift).toBeLessThan(largestShift);
  const { tersor, llama } = result.perplexity;
  expect(Math.abs(tersor / llama - 1)).toBeLessThan(perplexityShare);
}

test('tales on f32 weights predicts in tersor what it predicts in libllama', async () => {
  expectAgreement(await agreement(tales.model, tales.evaluation, join(folder, 'tales.gguf'), 2000));
});

test('stories15M too', needs(sharedMissing), async () => {
  const { models, evaluation } = shared as NonNullable<typeof shared>;
  expectAgreement(await agreement(models.stories15M, evaluation, join(folder, 'stories.gguf'), 2000));
});
