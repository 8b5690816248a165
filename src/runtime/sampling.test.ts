import { describe, expect, test } from 'vitest';
import { createSampler } from './sampling.js';

const logits = Float32Array.from([0, 3, 1, 2.5, -4]);
const shares = (sample: (logits: Float32Array) => number, draws: number) => {
  const counts = new Map<number, number>();
  for (let draw = 0; draw < draws; draw++) {
    const token = sample(logits);
    counts.set(token, (counts.get(token) ?? 0) + 1 / draws);
  }
  return counts;
};

describe('sampling', () => {
  test('temperature 0 takes the likeliest', () => {
    expect(createSampler({ temperature: 0 })(logits)).toBe(1);
  });

  test('tokens come in proportion to their probabilities', () => {
    const found = shares(createSampler({ temperature: 2, topP: 1 }), 20000);
    const weights = [...logits].map((value) => Math.exp(value / 2));
    const total = weights.reduce((a, b) => a + b);
    for (const [token, weight] of weights.entries())
      expect(Math.abs((found.get(token) ?? 0) - weight / total)).toBeLessThan(0.015);
  });

  test('topK and topP leave the likeliest', () => {
    expect([...shares(createSampler({ temperature: 5, topK: 2, topP: 1 }), 500).keys()].sort()).toEqual([
      1, 3,
    ]);
    // p(1) = 0.56 of all: the first alone has half of the probability.
    expect([...shares(createSampler({ temperature: 5, topP: 0.5 }), 500).keys()]).toEqual([1]);
  });

  test('the same seed draws the same', () => {
    const draw = (seed: number) => {
      const sample = createSampler({ seed, temperature: 2 });
      return Array.from({ length: 20 }, () => sample(logits));
    };
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });
});
