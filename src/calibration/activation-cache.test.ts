import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createShelf } from './activation-cache.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-shelf-'));
afterAll(() => rmSync(folder, { recursive: true }));

const numbers = (length: number, from: number) => Float32Array.from({ length }, (_, i) => from + i);

test('what does not fit lies on disk and comes back as it was', () => {
  const shelf = createShelf({ bytes: 800, folder });
  const kept = [100, 100, 100, 50].map((length, index) => shelf.keep(numbers(length, 1000 * index)));
  expect(shelf.spilled).toBe(600);
  expect(kept.map(({ data }) => data)).toEqual(
    [100, 100, 100, 50].map((length, i) => numbers(length, 1000 * i)),
  );
  expect(readdirSync(folder)).toEqual([]);
  shelf.close();
});

test('room that is given back is used again', () => {
  const shelf = createShelf({ bytes: 400, folder });
  const [first, second, third] = [1, 2, 3].map((from) => shelf.keep(numbers(100, from)));
  second?.drop?.();
  const fourth = shelf.keep(numbers(100, 4));
  expect(shelf.spilled).toBe(800);
  first?.drop?.();
  const fifth = shelf.keep(numbers(100, 5));
  expect(shelf.spilled).toBe(800);
  expect([third, fourth, fifth].map((kept) => kept?.data[0])).toEqual([3, 4, 5]);
  shelf.close();
});

test('arrays that nobody needs are taken again', () => {
  const shelf = createShelf({ bytes: 800, folder });
  const [first, second] = [1, 2].map((from) => shelf.keep(numbers(100, from)));
  const array = first?.data;
  first?.drop?.();
  expect(shelf.take(50)).toHaveLength(50);
  expect(shelf.take(100)).toBe(array);
  expect(shelf.take(100)).not.toBe(array);
  shelf.give(array as Float32Array);
  const third = shelf.keep(numbers(90, 3)); // an idle array makes room first
  expect([third.onDisk, shelf.spilled]).toEqual([undefined, 0]);
  const beyond = shelf.keep(numbers(100, 4));
  expect([beyond.onDisk, shelf.spilled]).toEqual([true, 400]);
  const read = beyond.data;
  shelf.give(read);
  expect(beyond.data).toBe(read);
  expect(second?.data[0]).toBe(2);
  shelf.close();
});

test('a folder that cannot be made is an error that says what to do', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const shelf = createShelf({ bytes: 0, folder: join(file, 'store') });
  expect(() => shelf.keep(numbers(1, 0))).toThrow(/cannot be kept here.*--memory/);
});
