import { expect, test } from 'vitest';
import { fields, table, wrap } from './format.js';

test('wraps between words', () => {
  expect(wrap('one two three four', 9)).toBe('one two\nthree\nfour');
  expect(wrap('one two three', 8, '  ')).toBe('one two\n  three');
  expect(wrap('unbreakable', 4)).toBe('unbreakable');
});

test('aligns tables', () => {
  const columns = [{ title: 'name', flexible: true }, { title: 'n', align: 'right' as const }, { title: '' }];
  const rows = [
    ['short', '1', ''],
    ['b', '1234', 'note'],
  ];
  expect(table(columns, rows)).toBe(['name      n', 'short     1', 'b      1234  note'].join('\n'));
});

test('lets decimal points meet', () => {
  const columns = [{ title: 'divergence', align: 'point' as const }, { title: 'types' }];
  const rows = [
    ['12', 'a'],
    ['0.57', 'b'],
    ['0.0021', 'c'],
  ];
  expect(table(columns, rows)).toBe(
    ['divergence  types', '   12       a', '    0.57    b', '    0.0021  c'].join('\n'),
  );
});

test('folds long cells, and loses nothing of them', () => {
  const columns = [
    { title: 'n', align: 'right' as const },
    { title: 'name', flexible: true },
  ];
  const folded = (name: string) =>
    table(columns, [['12', name]])
      .split('\n')
      .slice(1);
  const parts = [
    'model.language_model.layers.11.block_sparse_moe.',
    'experts.7.shared_down_projection.weight',
  ];
  expect(folded(parts.join(''))).toEqual([
    '12  model.language_model.layers.11.block_sparse_moe.experts.7.',
    '      shared_down_projection.weight',
  ]);
  const types = Array.from({ length: 12 }, (_, index) => `${index + 10} iq4_nl`).join(', ');
  const lines = folded(types);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines.map((line) => line.slice(4).trim()).join(' ')).toBe(types);
  expect(folded('x'.repeat(150))).toEqual([`12  ${'x'.repeat(76)}`, `      ${'x'.repeat(74)}`]);
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
