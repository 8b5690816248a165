import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { collectGarbage } from './garbage.js';

const size = 64 << 20;
const used = () => process.memoryUsage().arrayBuffers;

test('arrays that nobody needs are given back, where they are worth it', async () => {
  const before = used();
  (() => new Float32Array(size / 4).fill(1))();
  expect(used() - before).toBeGreaterThan(0.9 * size);
  collectGarbage(size - 1);
  expect(used() - before).toBeGreaterThan(0.9 * size);
  collectGarbage(size);
  // What held them is gone at once; they themselves go on another thread.
  for (let wait = 0; wait < 100 && used() - before > 0.1 * size; wait++) await setTimeout(20);
  expect(used() - before).toBeLessThan(0.1 * size);
});
