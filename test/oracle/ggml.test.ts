import { expect, test } from 'vitest';
import { type GgufName, ggufFormats } from '../../src/grid/gguf/gguf.js';
import { needs } from '../fixtures/needs.js';
import { ggmlDequantize, ggmlMissing, ggmlQuantize } from './ggml.js';

test('ggml decodes what it encodes', needs(ggmlMissing), () => {
  const [rows, cols] = [3, 512];
  const data = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i * i));
  const importance = new Float32Array(cols).fill(2);
  const energy = data.reduce((sum, x) => sum + x * x, 0);
  for (const name of Object.keys(ggufFormats) as GgufName[])
    for (const weights of [undefined, importance]) {
      const values = ggmlDequantize(name, ggmlQuantize(name, rows, cols, data, weights), data.length);
      const error = values.reduce((sum, v, i) => sum + (v - (data[i] ?? 0)) ** 2, 0) / energy;
      // A uniform density on signs alone leaves about a quarter of the energy, Q2_0's maximum-based scale more.
      expect(error, name).toBeLessThan(name === 'f32' ? 1e-12 : 0.5);
    }
});
