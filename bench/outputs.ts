/**
 * SHA-256 of what sixteen runs of the command line write: proof that a change of the code changed no result.
 *
 *   node bench/run.mjs outputs record FILE [checkout [name|…]]
 *   node bench/run.mjs outputs compare FILE [checkout]
 *       the checkout's dist/ is run, by default this one's; `compare` runs the file's commands again
 *   node bench/run.mjs outputs ratios CHECKOUT [name|…]
 *       time and peak memory of this checkout's runs to those of another, medians of three pairs
 *
 * Where an option has been renamed, the runs give its earlier name, which both checkouts know.
 *
 * A file whose metadata name other options differs as a whole; its tensors must be the same, byte for byte.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../src/checkpoint/open.js';
import { miniLm, shared, tales } from '../test/fixtures/data.js';

interface Run {
  /** Of `compress`, or with a command in front. */
  readonly words: readonly string[];
  readonly output: string;
  /** Ended by SIGKILL when the store has so many entries, then run again. */
  readonly killedAt?: number;
}

interface Hashes {
  readonly file: string;
  readonly tensors: string;
}

const stories = shared?.models.stories15M ?? tales.model;
const text = ['--calibration', tales.calibration];
const short = [...text, '--tokens', '2048'];
const linear = (type: string, ...more: string[]) => [tales.model, '--type', type, ...short, ...more];

const runs: Readonly<{ [name: string]: Run }> = {
  'type q4_k, default recipe': { words: [tales.model, '--type', 'q4_k', ...text], output: 'a.gguf' },
  'type q2_k, gptq, own outputs': {
    words: linear('q2_k', '--solver', 'gptq', '--target', 'symmetric'),
    output: 'a.gguf',
  },
  'type iq4_nl, stories15M, original prefix': {
    words: [stories, '--type', 'iq4_nl', ...short, '--solver', 'quantease', '--prefix', 'original'],
    output: 'a.gguf',
  },
  'size 2.5 MB': { words: [tales.model, '--size', '2.5MB', ...short], output: 'a.gguf' },
  'bits 4, fisher, layer-dp': {
    words: [tales.model, '--bits', '4', '--damage', 'fisher', '--search', 'layer-dp', ...short],
    output: 'a.gguf',
  },
  'evopress 2 MB': {
    words: [tales.model, '--size', '2MB', '--search', 'evopress', ...short, '--tokens', '1024'].concat(
      ...['generations=2', 'offspring=4'].map((option) => ['--search-option', option]),
    ),
    output: 'a.gguf',
  },
  'tuned gptq': { words: linear('q3_k', '--solver', 'gptq', '--tune', '3'), output: 'a.gguf' },
  'interrupted q4_0': { words: linear('q4_0'), output: 'a.gguf', killedAt: 12 },
  'onnx int4': { words: linear('int4', '--format', 'onnx'), output: 'onnx' },
  'onnx int4, f16 activations': {
    words: linear('int4', '--format', 'onnx', '--activations', 'f16', '--accuracy-level', '4'),
    output: 'onnx',
  },
  stack: { words: [tales.model, ...short], output: 'a.stack' },
  'compressed-tensors': { words: linear('int4-g128', '--format', 'compressed-tensors'), output: 'folder' },
  gptq: { words: linear('int4-g32', '--format', 'gptq', '--solver', 'gptq'), output: 'folder' },
  'outliers, rows of two precisions': {
    words: linear('int3-g64-s1', '--format', 'safetensors', '--override', 'ffn_up=int4-g64'),
    output: 'folder',
  },
  'encoder, biases': {
    words: [miniLm, '--type', 'int4', '--format', 'onnx', '--solver', 'gptq', '--tokens', '2048'],
    output: 'onnx',
  },
  imatrix: { words: ['imatrix', tales.model, ...short], output: 'a.gguf' },
};

const [, , , command = '', file = '', where, chosen] = process.argv;
/** Pairs of which `ratios` takes the median. */
const pairs = 3;

/** Runs a command to its end, or until it is to be ended. */
function run(
  checkout: string,
  { words, output }: Run,
  folder: string,
  killedAt = Number.POSITIVE_INFINITY,
): Promise<{ seconds: number; memory: number }> {
  const store = join(folder, 'store');
  const [first = ''] = words;
  const named = first === 'imatrix' ? words : ['compress', ...words, '--store', store];
  const start = performance.now();
  return new Promise((done, fail) => {
    const child = spawn(
      process.execPath,
      [join(checkout, 'dist/cli/main.js'), ...named, '-o', join(folder, output), '--json'],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: folder } },
    );
    const entries = () => readdirSync(folder).includes('store') && readdirSync(store).length;
    const timer = setInterval(() => {
      if (Number(entries()) >= killedAt) child.kill('SIGKILL');
    }, 20);
    let [out, err] = ['', ''];
    child.stdout.on('data', (part) => {
      out += part;
    });
    child.stderr.on('data', (part) => {
      err += part;
    });
    child.on('close', (code, signal) => {
      clearInterval(timer);
      if (code !== 0 && !(signal && Number.isFinite(killedAt))) fail(new Error(`${named.join(' ')}: ${err}`));
      else {
        const seconds = (performance.now() - start) / 1000;
        done({ seconds, memory: signal ? 0 : (JSON.parse(out).peakMemoryBytes ?? 0) });
      }
    });
  });
}

async function measured<T>(
  checkout: string,
  job: Run,
  look: (path: string) => Promise<T>,
): Promise<T & { seconds: number; memory: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'tersor-outputs-'));
  try {
    if (job.killedAt) await run(checkout, job, folder, job.killedAt);
    const costs = await run(checkout, job, folder);
    return { ...(await look(join(folder, job.output))), ...costs };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const sha = (...parts: readonly Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** Of all files together, and of every tensor's type and decoded values, which options' names do not change. */
async function hashes(path: string): Promise<Hashes> {
  const folder = statSync(path).isDirectory();
  const files = folder
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .map((name) => join(path, name))
        .filter((name) => statSync(name).isFile())
        .sort()
    : [path];
  const checkpoint = await openCheckpoint(path);
  const tensors = createHash('sha256');
  for (const { name, type, shape } of checkpoint.tensors.values()) {
    const { data } = await checkpoint.read(name);
    tensors.update(JSON.stringify([name, type, shape])).update(data);
  }
  await checkpoint.close();
  return { file: sha(...files.map((name) => readFileSync(name))), tensors: tensors.digest('hex') };
}

const names = Object.keys(runs);
const here = resolve(where ?? '.');
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const round = (value: number) => value.toFixed(3);
const job = (name: string): Run => runs[name] ?? { words: [], output: '' };

if (command === 'record') {
  const record: { [name: string]: Hashes } = {};
  for (const name of chosen?.split('|') ?? names) {
    const { file: hash, tensors, seconds, memory } = await measured(here, job(name), hashes);
    record[name] = { file: hash, tensors };
    console.log(`${name}: ${hash} ${tensors} ${seconds.toFixed(1)} s ${(memory / 1e6).toFixed(0)} MB`);
    writeFileSync(file, `${JSON.stringify(record, null, 2)}\n`);
  }
} else if (command === 'compare') {
  const record: { [name: string]: Hashes } = JSON.parse(readFileSync(file, 'utf8'));
  let wrong = 0;
  for (const [name, before] of Object.entries(record)) {
    const after = await measured(here, job(name), hashes);
    const verdict =
      after.file === before.file
        ? 'same file'
        : after.tensors === before.tensors
          ? 'same tensors'
          : 'DIFFERS';
    if (verdict === 'DIFFERS') wrong++;
    console.log(`${name}: ${verdict} ${after.file} ${after.tensors}`);
  }
  process.exitCode = wrong > 0 ? 1 : 0;
} else if (command === 'ratios') {
  for (const name of where?.split('|') ?? names) {
    const [times, memories]: [number[], number[]] = [[], []];
    for (let pair = 0; pair < pairs; pair++) {
      const before = await measured(resolve(file), job(name), async () => ({}));
      const after = await measured(resolve('.'), job(name), async () => ({}));
      times.push(after.seconds / before.seconds);
      memories.push(after.memory / before.memory);
    }
    console.log(`${name}: time × ${round(median(times))}, memory × ${round(median(memories))}`);
  }
} else {
  console.error('see the head of bench/outputs.ts');
  process.exitCode = 1;
}
