import { expect, test } from 'vitest';
import { collapseNames, type TensorRow, tensorTable, typeTable } from './tensors.js';

const rows: TensorRow[] = [
  { name: 'token_embd.weight', type: 'q6_k', bytes: 860_160, relativeError: 0.0002 },
  { name: 'output_norm.weight', type: 'f32', bytes: 1024, relativeError: 0 },
  ...[0.01, 0.03, 0.02].map((relativeError, block) => ({
    name: `blk.${block}.attn_q.weight`,
    type: block === 2 ? 'q8_0' : 'q3_k',
    bytes: 28_160,
    relativeError,
  })),
];

test('puts equal layers of one type into one row, with mean and worst error', () => {
  expect(tensorTable(rows)).toBe(
    [
      'tensor                 ×  type    bytes  relative error   worst',
      'token_embd.weight      1  q6_k  860,160        0.0200 %',
      'output_norm.weight     1  f32     1,024           exact',
      'blk.0-1.attn_q.weight  2  q3_k   56,320          2.00 %  3.00 %',
      'blk.2.attn_q.weight    1  q8_0   28,160          2.00 %',
    ].join('\n'),
  );
});

test('keeps rows of one name together, the blocks of each type in their names', () => {
  const mixed = ['q3_k', 'q5_k', 'q3_k', 'q3_k'].flatMap((type, block) => [
    { name: `blk.${block}.attn_q.weight`, type, bytes: 1000 },
    { name: `blk.${block}.attn_k.weight`, type: 'q3_k', bytes: 500 },
  ]);
  expect(tensorTable(mixed)).toBe(
    [
      'tensor                   ×  type  bytes',
      'blk.0,2-3.attn_q.weight  3  q3_k  3,000',
      'blk.1.attn_q.weight      1  q5_k  1,000',
      'blk.*.attn_k.weight      4  q3_k  2,000',
    ].join('\n'),
  );
});

test('prints every tensor when asked to', () => {
  const lines = tensorTable(rows, { all: true }).split('\n');
  expect(lines).toHaveLength(6);
  expect(lines[3]).toBe('blk.0.attn_q.weight  q3_k   28,160          1.00 %');
});

test('leaves errors out where there are none, and keeps notes apart', () => {
  const planned = [
    { name: 'blk.0.ffn_down.weight', type: 'q8_0', bytes: 1, note: 'q3_k wanted' },
    { name: 'blk.1.ffn_down.weight', type: 'q8_0', bytes: 1 },
  ];
  expect(tensorTable(planned)).toBe(
    [
      'tensor                 type  bytes',
      'blk.0.ffn_down.weight  q8_0      1  q3_k wanted',
      'blk.1.ffn_down.weight  q8_0      1',
    ].join('\n'),
  );
});

test.each([{ relativeError: 0.123 }, { note: 'q3_k impossible' }])(
  'fits 80 columns with long names: %j',
  (more) => {
    const wide = Array.from({ length: 3 }, (_, block) => ({
      name: `model.layers.${block}.block_sparse_moe.experts.${block}.down_proj.weight`,
      type: 'int4-channel',
      bytes: 123_456_789_012,
      ...more,
    }));
    const lines = tensorTable(wide).split('\n');
    for (const line of [...lines, ...tensorTable(wide, { all: true }).split('\n')])
      expect(line.length).toBeLessThanOrEqual(80);
    expect(lines[1]).toMatch(/^model\.layers\.\*\. +3 {2}int4-channel {2}370,370,367,036 /);
    // Nothing of the name is lost.
    const name = lines
      .slice(1)
      .map((line) => line.trim().split(' ')[0])
      .join('');
    expect(name).toBe('model.layers.*.block_sparse_moe.experts.*.down_proj.weight');
  },
);

test('sums bytes by type, largest first', () => {
  expect(typeTable(rows)).toBe(
    [
      'type  tensors     size',
      'q6_k        1   860 kB',
      'q3_k        2  56.3 kB',
      'q8_0        1  28.2 kB',
      'f32         1  1.02 kB',
    ].join('\n'),
  );
});

test('names every tensor in few words', () => {
  const names = [0, 1, 2, 5, 10, 11].map((block) => `blk.${block}.attn_q.weight`);
  expect(collapseNames(['output.weight', ...names, 'blk.3.ffn_up.weight'])).toEqual([
    'output.weight',
    'blk.0-2,5,10-11.attn_q.weight',
    'blk.3.ffn_up.weight',
  ]);
});
