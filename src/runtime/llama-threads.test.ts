import { expect, test } from 'vitest';
import { chooseThreads } from './llama-threads.js';

/** Numbers of threads that were chosen for so many pieces, and the time of all. */
function spend(choice: ReturnType<typeof chooseThreads>, pieces: number, price: (threads: number) => number) {
  const chosen: number[] = [];
  let time = 0;
  for (let piece = 0; piece < pieces; piece++) {
    const threads = choice.next();
    const cost = price(threads);
    chosen.push(threads);
    time += cost;
    choice.took(cost);
  }
  return { chosen, time };
}

test('one thread is no choice', () => {
  expect(new Set(spend(chooseThreads(1), 50, () => 1).chosen)).toEqual(new Set([1]));
});

test.each([2, 3, 8, 12, 96])('of %i threads that wait for busy cores, one is left', (most) => {
  const { chosen, time } = spend(chooseThreads(most), 1000, (threads) => (threads > 1 ? 40 : 1));
  expect(chosen[0]).toBe(most);
  // At the beginning all numbers, afterwards at most one part in twenty for trials.
  expect(time).toBeLessThan(1000 * 1.06 + 40 * (2 + Math.ceil(Math.log2(most))));
});

test.each([2, 6, 16])('%i threads that help are used', (most) => {
  const price = (threads: number) => 1 + 16 / threads;
  const { time } = spend(chooseThreads(most), 1000, price);
  expect(time).toBeLessThan(1.06 * 1000 * price(most) + price(1));
});

test('the number in the middle is found where more only wait and fewer take longer', () => {
  const price = (threads: number) => (threads > 4 ? 30 : 8 / threads);
  const { chosen } = spend(chooseThreads(16), 400, price);
  expect(chosen.filter((threads) => threads === 4).length).toBeGreaterThan(330);
});

test('follows cores that become busy and free again', () => {
  const choice = chooseThreads(2);
  const busy = (threads: number) => (threads > 1 ? 40 : 1);
  const free = (threads: number) => 1.2 / threads;
  expect(spend(choice, 200, free).chosen.slice(-20)).toContain(2);
  expect(spend(choice, 2000, busy).time).toBeLessThan(2000 * 1.06 + 200);
  const { chosen } = spend(choice, 2000, free);
  expect(chosen.filter((threads) => threads === 2).length).toBeGreaterThan(1000);
});

test('begins with what it is told', () => {
  expect(chooseThreads(8, 1).next()).toBe(1);
  const { chosen } = spend(chooseThreads(8, 1), 100, (threads) => 1 / threads);
  expect(chosen.at(-1)).toBe(8);
});

test('one interruption does not end a good choice', () => {
  const choice = chooseThreads(2);
  spend(choice, 100, (threads) => 2 / threads);
  choice.took(500);
  const { chosen } = spend(choice, 100, (threads) => 2 / threads);
  expect(chosen.filter((threads) => threads === 2).length).toBeGreaterThan(90);
});
