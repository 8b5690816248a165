import { expect, test } from 'vitest';
import { required } from './required.js';

test('what is there is given, zero and the empty array among it', () => {
  const key = { name: 'key' };
  expect(required(new Map([[key, 0]]), key)).toBe(0);
  expect(required({ weight: [] }, 'weight')).toEqual([]);
  expect(required(['a', 'b'], 1)).toBe('b');
});

test('what is missing is named', () => {
  expect(() => required(new Map<string, number>(), 'attn_q')).toThrow('there is no attn_q');
  expect(() => required({}, 'ffn_up')).toThrow('there is no ffn_up');
  expect(() => required(['a'], 1)).toThrow('there is no 1');
  const spec = { names: { gguf: 'blk.0.attn_q.weight' } };
  expect(() => required(new Map<object, number>(), spec)).toThrow('blk.0.attn_q.weight');
});
