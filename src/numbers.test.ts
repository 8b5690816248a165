import { expect, test } from 'vitest';
import {
  formatBytes,
  formatChange,
  formatCount,
  formatDivergence,
  formatDuration,
  formatPercent,
  significant,
} from './numbers.js';

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

test('a divergence that is only rounding is none', () => {
  expect([-7.7e-10, 7.7e-10, 0].map((nats) => formatDivergence(nats))).toEqual(['0', '0', '0']);
  expect([formatDivergence(0.0123456), formatDivergence(-0.00123, 2)]).toEqual(['0.0123', '-0.0012']);
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
