import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { compress } from '../src/pipeline/compress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import type { CompressOptions } from '../src/pipeline/options.js';
import { shared, sharedMissing, tales } from './fixtures/data.js';
import { needs } from './fixtures/needs.js';
import { findPeer, readPeers } from './fixtures/peers.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-quality-'));
const output = join(folder, 'model.gguf');
afterAll(() => rmSync(folder, { recursive: true }));

const context = 256;
/** What was measured may get worse by 15 % before a test fails. */
const slack = 1.15;
// Half a minute each on two free cores.
const slow = 600_000;

describe('tales, calibrated on its own texts, stays closer to itself than by rounding', () => {
  async function divergence(type: string, method: Partial<CompressOptions>): Promise<number> {
    const { model, calibration, evaluation: text } = tales;
    const size = { context, tokens: 4096 };
    await compress({ model, output, type, calibration, ...size, ...method });
    const { divergence: found } = await evaluate({ model: output, against: model, text, ...size });
    return found?.mean ?? Number.NaN;
  }

  // What was measured, with scales that know the inputs' energies in both.
  test.each([
    ['q4_k', 0.512],
    ['q3_k', 0.478],
    ['q2_k', 0.472],
  ])('%s: %d of its divergence', async (type, measured) => {
    const rounded = await divergence(type, { solver: 'rtn', calibrateOn: 'original' });
    expect(await divergence(type, {})).toBeLessThan(slack * measured * rounded);
  });
});

describe(
  'less divergence than llama.cpp’s quantizer with importance matrix, at no more bytes',
  needs(sharedMissing),
  () => {
    // What was measured on 16,384 tokens of calibration text.
    test.each([
      ['tales', 'q4_k', 0.358],
      ['tales', 'q3_k', 0.347],
      ['tales', 'q2_k', 0.354],
      ['stories15M', 'iq4_nl', 0.572],
      ['stories15M', 'q4_0', 0.467],
    ] as const)(
      '%s at %s: %d of it',
      async (name, type, measured) => {
        if (!shared) return;
        const { models, calibration, evaluation: text } = shared;
        const peers = readPeers(shared.peers);
        const peer = findPeer(peers, name, type, true);
        const model = models[name];
        const { bytes } = await compress({ model, output, type, calibration, context, tokens: 16384 });
        // By llama.cpp's own arithmetic, as its figures were made.
        const { divergence } = await evaluate({
          model: output,
          against: model,
          text,
          context: peers.context,
          tokens: peers.context * peers.chunks,
          runtime: 'llama.cpp',
        });
        expect(bytes).toBeLessThanOrEqual(peer.bytes);
        expect(divergence?.mean).toBeLessThanOrEqual(slack * measured * peer.kld);
      },
      slow,
    );
  },
);
