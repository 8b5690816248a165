import { expect, test } from 'vitest';
import { partsOf } from '../pipeline/prepare/parts.js';
import { describeBits, embeddingHint } from './parts.js';

const parts = partsOf([
  { spec: { kind: 'embedding' }, bytes: 900, elements: 1000 },
  { spec: { kind: 'linear' }, bytes: 250, elements: 400 },
  { spec: { kind: 'linear' }, bytes: 250, elements: 400 },
  { spec: { kind: 'head' }, bytes: 900, elements: 1000 },
  { spec: { kind: 'norm' }, bytes: 400, elements: 100 },
]);

test('bits are told of layers and embedding apart', () => {
  expect(parts).toEqual({
    layers: { bytes: 500, bitsPerWeight: 5 },
    embedding: { bytes: 1800, bitsPerWeight: 7.2 },
  });
  expect(describeBits(6.55, parts)).toBe('6.55 bits per weight: layers 5.00, embedding 7.20');
  expect(describeBits(5, { layers: parts.layers, embedding: parts.layers })).toBe('5.00 bits per weight');
  expect(describeBits(5, undefined)).toBe('5.00 bits per weight');
});

test('an embedding that is most of the file is told of', () => {
  expect(embeddingHint(2700, parts)).toEqual([
    ['embedding', expect.stringMatching(/^66\.7 % of the file: --embedding-type/)],
  ]);
  expect(embeddingHint(4000, parts)).toEqual([]);
  expect(embeddingHint(4000, undefined)).toEqual([]);
});
