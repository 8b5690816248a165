import { expect, test } from 'vitest';
import { uniform } from '../test/reference/random.js';
import { createRandom } from './random.js';

test('mulberry32, and it goes on from its state', () => {
  const [random, reference] = [createRandom(7), uniform(7)];
  for (let count = 0; count < 100; count++) expect(random.next()).toBe(reference());
  const resumed = createRandom(random.state());
  for (let count = 0; count < 10; count++) expect(resumed.next()).toBe(random.next());
});

test('integers, normals and shuffles are what they say', () => {
  const random = createRandom(1);
  const counts = [0, 0, 0, 0, 0];
  for (let count = 0; count < 5000; count++) {
    const value = random.integer(5);
    counts[value] = (counts[value] ?? 0) + 1;
  }
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120);
  const normals = Array.from({ length: 5000 }, () => random.normal());
  const moment = (power: number) => normals.reduce((sum, value) => sum + value ** power, 0) / normals.length;
  expect(Math.abs(moment(1))).toBeLessThan(0.06);
  expect(Math.abs(moment(2) - 1)).toBeLessThan(0.08);
  const places = Array.from({ length: 2000 }, () => random.shuffle([0, 1, 2, 3]).indexOf(0));
  for (const place of [0, 1, 2, 3]) {
    expect(Math.abs(places.filter((own) => own === place).length - 500)).toBeLessThan(80);
  }
  expect(random.shuffle([5, 6, 7]).sort()).toEqual([5, 6, 7]);
});
