/**
 * The tables of docs/results/.
 *
 *   node bench/run.mjs results agreement
 *       logits and perplexity against libllama on f32 weights
 *   node bench/run.mjs results quality [model] [types,…] [solver] [threads]
 *       files beside those of llama.cpp's quantizer
 *   node bench/run.mjs results verification [model] [types,…] [solver] [threads]
 *       how far llama.cpp's arithmetic alone moves predictions
 *   node bench/run.mjs results arithmetic [model] [types,…] [solver] [threads]
 *       the same for single tensors, with weights that the type holds exactly
 *
 * Models, texts and llama.cpp's figures are those of ../shared/data; without it only what needs models/tales runs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { gridNames } from '../src/grid/index.js';
import { compress } from '../src/pipeline/compress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import { agreement } from '../test/fixtures/agreement.js';
import { shared, tales } from '../test/fixtures/data.js';
import { findPeer, readPeers } from '../test/fixtures/peers.js';

const [, , , table = '', name = 'tales', list, solver, count] = process.argv;
const threads = Number(count ?? availableParallelism());
const folder = mkdtempSync(join(tmpdir(), 'tersor-results-'));
const output = join(folder, 'model.gguf');
const models: Readonly<Record<string, string>> = shared?.models ?? { tales: tales.model };
const texts = shared ?? tales;
const types: Readonly<Record<string, string>> = {
  tales: 'q6_k,q5_k,q4_k,q4_0,iq4_nl,q3_k,q2_k,q2_0',
  stories15M: 'q8_0,q5_1,q5_0,q4_1,q4_0,iq4_nl',
};

const row = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
const fixed = (value: number | undefined, digits: number) => (value ?? Number.NaN).toFixed(digits);

function find(name: string): string {
  const model = models[name];
  if (!model) throw new Error(`there is no model ${name} in ../shared/data`);
  return model;
}

async function agreementTable(): Promise<void> {
  row('model', 'tokens', 'max \\|Δ log p\\|', 'perplexity by tersor', 'by libllama');
  row('---', '--:', '--:', '--:', '--:');
  for (const [name, model] of Object.entries(models)) {
    const result = await agreement(model, texts.evaluation, output, 2000);
    const { tersor, llama } = result.perplexity;
    row(name, result.tokens, result.largestShift.toExponential(1), fixed(tersor, 4), fixed(llama, 4));
  }
}

async function qualityTable(): Promise<void> {
  if (!shared) throw new Error('llama.cpp’s figures are in ../shared/data, which is not here');
  const peers = readPeers(shared.peers);
  const model = find(name);
  const method = solver ? { solver } : {};
  row(
    'type',
    'bytes',
    'KLD',
    'same top',
    'perplexity',
    'KLD in llama.cpp',
    'llama.cpp: bytes',
    'KLD, imatrix',
    'KLD, plain',
    'ratio',
    'seconds',
    'MB',
  );
  row('---', ...Array.from({ length: 11 }, () => '--:'));
  for (const type of (list || types[name] || '').split(',')) {
    const result = await compress({
      model,
      output,
      type,
      calibration: shared.calibration,
      threads,
      ...method,
    });
    const settings = {
      model: output,
      against: model,
      text: shared.evaluation,
      context: peers.context,
      tokens: peers.context * peers.chunks,
      threads,
    };
    const own = await evaluate(settings);
    const runtime = await evaluate({ ...settings, runtime: 'llama.cpp' });
    const weighted = findPeer(peers, name, type, true);
    row(
      type,
      result.bytes,
      fixed(own.divergence?.mean, 5),
      fixed(own.sameTop, 4),
      fixed(own.perplexity, 3),
      fixed(runtime.divergence?.mean, 5),
      weighted.bytes,
      weighted.kld,
      findPeer(peers, name, type, false).kld,
      fixed((runtime.divergence?.mean ?? Number.NaN) / weighted.kld, 2),
      fixed(result.seconds, 0),
      fixed(result.peakMemoryBytes / 1e6, 0),
    );
  }
}

async function verificationTable(): Promise<void> {
  const model = find(name);
  row('type', 'divergence of llama.cpp from tersor', 'of the file from the original', 'tokens');
  row('---', '--:', '--:', '--:');
  for (const type of list ? list.split(',') : gridNames) {
    const { verified, heldOut } = await compress({
      model,
      output,
      type,
      solver: solver ?? 'rtn',
      threads,
      calibration: texts.calibration,
      tokens: 256,
      fallback: 'q8_0',
    });
    row(
      type,
      verified?.meanDivergence.toExponential(1) ?? '',
      heldOut?.divergence?.mean.toPrecision(3) ?? '',
      verified?.tokens ?? 0,
    );
  }
}

/** Tensors by a part of their names; the embedding is the head, too, where they are tied. */
const parts = 'attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down'.split(' ');

/**
 * What is left when weights are not at fault: a file of one type is itself the original, and parts of it are stored in
 * that type, all others in f32. llama.cpp runs it, tersor's own arithmetic is what it is compared with.
 */
async function arithmeticTable(): Promise<void> {
  const exact = join(folder, 'exact.gguf');
  const common = { solver: solver ?? 'rtn', calibration: texts.calibration, tokens: 256, threads };
  const divergence = async (embeddingType: string, type: string, part?: string) => {
    await compress({
      ...common,
      model: exact,
      output,
      embeddingType,
      type: part ? 'f32' : type,
      ...(part ? { overrides: [{ pattern: new RegExp(part), type }] } : {}),
    });
    const { divergence } = await evaluate({
      model: output,
      against: output,
      text: texts.evaluation,
      context: 256,
      tokens: 20480,
      runtime: 'llama.cpp',
      threads,
    });
    return divergence?.mean.toExponential(2) ?? '';
  };
  row('type', 'all', 'embedding and head', ...parts);
  row('---', ...Array.from({ length: parts.length + 2 }, () => '--:'));
  for (const type of (list ?? 'q8_0,q6_k').split(',')) {
    await compress({ ...common, model: find(name), output: exact, type, embeddingType: type });
    const cells = [await divergence(type, type), await divergence(type, 'f32')];
    for (const part of parts) cells.push(await divergence('f32', type, part));
    row(type, ...cells);
  }
}

try {
  if (table === 'agreement') await agreementTable();
  else if (table === 'quality') await qualityTable();
  else if (table === 'verification') await verificationTable();
  else if (table === 'arithmetic') await arithmeticTable();
  else throw new Error('name a table: agreement, quality, verification or arithmetic');
} finally {
  rmSync(folder, { recursive: true });
}
