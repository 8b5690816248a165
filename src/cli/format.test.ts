import { expect, test } from 'vitest';
import { fields, table, wrap } from './format.js';

test('wraps between words', () => {
  expect(wrap('one two three four', 9)).toBe('one two\nthree\nfour');
  expect(wrap('one two three', 8, '  ')).toBe('one two\n  three');
  expect(wrap('unbreakable', 4)).toBe('unbreakable');
});

test('aligns tables and shortens long names in the middle', () => {
  const columns = [{ title: 'name', flexible: true }, { title: 'n', align: 'right' as const }, { title: '' }];
  expect(
    table(columns, [
      ['short', '1', ''],
      ['b', '1234', 'note'],
    ]),
  ).toBe(['name      n', 'short     1', 'b      1234  note'].join('\n'));
  const name = `${'a'.repeat(50)}${'z'.repeat(50)}`;
  expect(table(columns, [[name, '1234', 'note']]).split('\n')[1]).toBe(
    `${'a'.repeat(34)}…${'z'.repeat(33)}  1234  note`,
  );
});

test('aligns the values of fields', () => {
  expect(
    fields([
      ['a', '1'],
      ['long', '2'],
    ]),
  ).toBe('a     1\nlong  2');
  expect(fields([['name', `${'x'.repeat(70)} ${'y'.repeat(90)}`]])).toBe(
    `name  ${'x'.repeat(70)}\n      ${'y'.repeat(90)}`,
  );
});
