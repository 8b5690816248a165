import { expect, test } from 'vitest';
import {
  fields,
  formatBytes,
  formatChange,
  formatCount,
  formatDuration,
  formatPercent,
  significant,
  table,
  wrap,
} from './format.js';

test.each([
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1000, '1.00 kB'],
  [13893824, '13.9 MB'],
  [999_600_000, '1.00 GB'],
  [2.5e12, '2.50 TB'],
  [4e15, '4000 TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0.04, '0.0 s'],
  [9.94, '9.9 s'],
  [9.96, '10 s'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [185, '3 min 05 s'],
  [7630, '2 h 07 min'],
])('%d seconds are %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test('keeps the digits that matter', () => {
  expect(significant(0.012345, 3)).toBe('0.0123');
  expect(significant(4.56789, 3)).toBe('4.57');
  expect(significant(789.4, 3)).toBe('789');
  expect(significant(123456, 3)).toBe('123456');
  expect(significant(-0.00071, 1)).toBe('-0.0007');
  expect(significant(0, 3)).toBe('0');
  expect(formatCount(13893824)).toBe('13,893,824');
  expect(formatPercent(0.8421)).toBe('84.2 %');
  expect(formatPercent(0.000123456)).toBe('0.0123 %');
  expect(formatChange(8, 8.5)).toBe('+6.3 %');
  expect(formatChange(8, 7)).toBe('−12.5 %');
});

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
