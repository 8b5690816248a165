import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createActivationCache } from './activation-cache.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-activationCache-'));
afterAll(() => rmSync(folder, { recursive: true }));

const numbers = (length: number, from: number) => Float32Array.from({ length }, (_, i) => from + i);

test('what does not fit lies on disk and comes back as it was', () => {
  const activationCache = createActivationCache({ bytes: 800, folder });
  const kept = [100, 100, 100, 50].map((length, index) =>
    activationCache.keep(numbers(length, 1000 * index)),
  );
  expect(activationCache.spilled).toBe(600);
  expect(kept.map(({ data }) => data)).toEqual(
    [100, 100, 100, 50].map((length, i) => numbers(length, 1000 * i)),
  );
  expect(readdirSync(folder)).toEqual([]);
  activationCache.close();
});

test('room that is given back is used again', () => {
  const activationCache = createActivationCache({ bytes: 400, folder });
  const [first, second, third] = [1, 2, 3].map((from) => activationCache.keep(numbers(100, from)));
  second?.drop?.();
  const fourth = activationCache.keep(numbers(100, 4));
  expect(activationCache.spilled).toBe(800);
  first?.drop?.();
  const fifth = activationCache.keep(numbers(100, 5));
  expect(activationCache.spilled).toBe(800);
  expect([third, fourth, fifth].map((kept) => kept?.data[0])).toEqual([3, 4, 5]);
  activationCache.close();
});

test('arrays that nobody needs are taken again', () => {
  const activationCache = createActivationCache({ bytes: 800, folder });
  const [first, second] = [1, 2].map((from) => activationCache.keep(numbers(100, from)));
  const array = first?.data;
  first?.drop?.();
  expect(activationCache.take(50)).toHaveLength(50);
  expect(activationCache.take(100)).toBe(array);
  expect(activationCache.take(100)).not.toBe(array);
  activationCache.give(array as Float32Array);
  const third = activationCache.keep(numbers(90, 3)); // an idle array makes room first
  expect([third.onDisk, activationCache.spilled]).toEqual([undefined, 0]);
  const beyond = activationCache.keep(numbers(100, 4));
  expect([beyond.onDisk, activationCache.spilled]).toEqual([true, 400]);
  const read = beyond.data;
  activationCache.give(read);
  expect(beyond.data).toBe(read);
  expect(second?.data[0]).toBe(2);
  activationCache.close();
});

test('a folder that cannot be made is an error that says what to do', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const activationCache = createActivationCache({ bytes: 0, folder: join(file, 'store') });
  expect(() => activationCache.keep(numbers(1, 0))).toThrow(/cannot be kept here.*--memory/);
});
