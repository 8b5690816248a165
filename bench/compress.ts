/**
 * Where the time of the whole command goes, beside what llama.cpp needs for an importance matrix from as many tokens of
 * the same text and for quantizing with it. Both are processes, timed from their start to their end in turn, so that
 * other work on the machine slows both; medians of several pairs are shown, and the ratio of each pair.
 *
 *   node bench/run.mjs compress [model] [type] [calibration text] [threads] [--llama FOLDER] [--pairs 3]
 *                               [--solver NAME,…] [--tokens N]
 *
 *   --llama   where llama.cpp's llama-imatrix and llama-quantize are (v0.5.0), with their libraries. Without it the
 *             peer is what its library from npm can do: forward passes over those tokens, which are the larger part of
 *             an importance matrix, and llama_model_quantize.
 *   --solver  solvers to compare; by default the recipe that tersor has by default
 *
 * Needs `npm run build`.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openLlama } from '../src/runtime/llama.js';
import { type LlamaFileType, quantizeWithLlama } from '../src/runtime/llama-quantize.js';
import { readText } from '../src/text/corpus.js';
import { tales } from '../test/fixtures/data.js';

const { positionals, values: flags } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: {
    llama: { type: 'string' },
    pairs: { type: 'string', default: '3' },
    solver: { type: 'string', default: 'default' },
    tokens: { type: 'string' },
  },
});
const [model = tales.model, type = 'q4_k', calibration = tales.calibration, count] = positionals;
const threads = Number(count ?? availableParallelism());
const folder = mkdtempSync(join(tmpdir(), 'tersor-bench-'));
const file = (name: string) => join(folder, name);
const command = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

/** Processor seconds of all children that have ended; 0 where the system does not tell (proc_pid_stat(5), 16 and 17). */
function processorTime(): number {
  if (!existsSync('/proc/self/stat')) return 0;
  // The name of the program, which may hold anything, ends with the last bracket; fields count from the third.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  const ticksPerSecond = 100;
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

interface Ended {
  readonly stdout: string;
  /** From the program's start to its end. */
  readonly seconds: number;
  /** Of all its threads. */
  readonly processor: number;
}

function run(program: string, words: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const before = processorTime();
    const child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...variables },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (part) => {
      stdout += part;
    });
    child.stderr.on('data', (part) => {
      stderr += part;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const [seconds, processor] = [(performance.now() - start) / 1000, processorTime() - before];
      if (code === 0) resolve({ stdout, seconds, processor });
      else reject(new Error(`${program} ended with ${code}: ${stderr.slice(-1000)}`));
    });
  });
}

const tersor = (...words: readonly string[]) => run(process.execPath, [command, ...words, '--json']);

interface Run {
  /** Seconds by part. */
  readonly parts: Readonly<Record<string, number>>;
  readonly all: number;
  /** Processor seconds of everything. */
  readonly processor: number;
}

const total = (parts: Readonly<Record<string, number>>) =>
  Object.values(parts).reduce((sum, part) => sum + part, 0);

const hashes = new Map<string, Set<string>>();

/** One run of `tersor compress`. */
async function compressOnce(solver: string): Promise<Run> {
  const output = file('tersor.gguf');
  const { stdout, seconds, processor } = await tersor(
    ...['compress', model, '-o', output, '--force', '--type', type, '--calibration', calibration],
    ...['--threads', String(threads), '--store', file('store')],
    ...(solver === 'default' ? [] : ['--solver', solver]),
    ...(flags.tokens ? ['--tokens', flags.tokens] : []),
  );
  const known = hashes.get(solver) ?? new Set();
  hashes.set(solver, known.add(createHash('sha256').update(readFileSync(output)).digest('hex')));
  const { stages } = JSON.parse(stdout) as { stages: Record<string, number> };
  return { parts: { ...stages, 'start, end': seconds - total(stages) }, all: seconds, processor };
}

/** The text that tersor calibrated on: sequences of `context` tokens. */
async function calibrated(): Promise<{ tokens: number; context: number }> {
  const { stdout } = await tersor('inspect', file('tersor.gguf'));
  const { provenance } = JSON.parse(stdout) as { provenance: Record<string, string> };
  return JSON.parse(provenance.recipe ?? '');
}

/**
 * llama-imatrix and llama-quantize, once.
 * @param perplexity whether llama-imatrix is to measure the model's perplexity as well, as it does by default
 */
async function programs(from: string, context: number, chunks: number, perplexity: boolean): Promise<Run> {
  const variables = { LD_LIBRARY_PATH: from };
  const imatrix = await run(
    join(from, 'llama-imatrix'),
    [
      ...['-m', file('original.gguf'), '-f', calibration, '-o', file('imatrix.gguf')],
      ...['-c', String(context), '--chunks', String(chunks), '-t', String(threads)],
      ...(perplexity ? [] : ['--no-ppl']),
    ],
    variables,
  );
  const quantize = await run(
    join(from, 'llama-quantize'),
    [
      ...['--imatrix', file('imatrix.gguf'), '--pure', file('original.gguf'), file('llama.gguf'), type],
      String(threads),
    ],
    variables,
  );
  const parts = { 'importance matrix': imatrix.seconds, quantize: quantize.seconds };
  return { parts, all: total(parts), processor: imatrix.processor + quantize.processor };
}

/** The same with the library from npm, which has no importance matrix. */
async function library(context: number, chunks: number): Promise<Run> {
  const timed = async (work: () => Promise<void>) => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / 1000;
  };
  const before = process.cpuUsage();
  const passes = await timed(async () => {
    const llama = await openLlama(file('original.gguf'), { context, threads });
    const tokens = llama.tokenize(await readText(calibration));
    for (let chunk = 0; chunk < chunks; chunk++)
      await llama.logits(tokens.slice(chunk * context, (chunk + 1) * context), { from: context - 1 });
    await llama.close();
  });
  const quantize = await timed(() =>
    quantizeWithLlama(file('original.gguf'), file('llama.gguf'), type as LlamaFileType, {
      pure: true,
      threads,
    }),
  );
  const { user, system } = process.cpuUsage(before);
  const parts = { 'forward passes': passes, quantize };
  return { parts, all: total(parts), processor: (user + system) / 1e6 };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

function report(name: string, runs: readonly Run[]): void {
  const all = median(runs.map((run) => run.all));
  console.log(`\n${name}`);
  const line = (part: string, seconds: number, note: string) =>
    console.log(`  ${part.padEnd(18)}${seconds.toFixed(2).padStart(8)} s  ${note}`);
  for (const part of Object.keys(runs[0]?.parts ?? {})) {
    const seconds = median(runs.map(({ parts }) => parts[part] ?? 0));
    line(part, seconds, `${((100 * seconds) / all).toFixed(0).padStart(3)} %`);
  }
  line('all', all, `${median(runs.map(({ processor }) => processor)).toFixed(1)} s of processor`);
}

function compare(name: string, runs: readonly Run[], peer: readonly Run[]): void {
  const ratios = (of: 'all' | 'processor') => runs.map((run, pair) => run[of] / (peer[pair]?.[of] ?? 0));
  const shown = (values: readonly number[]) =>
    `${median(values).toFixed(2)} (${values.map((value) => value.toFixed(2)).join(', ')})`;
  console.log(`  times ${name}: ${shown(ratios('all'))}; of processor time ${shown(ratios('processor'))}`);
}

/** llama.cpp's ways to compare with, by what to call them. */
function peers(): Readonly<Record<string, (context: number, chunks: number) => Promise<Run>>> {
  const from = flags.llama;
  if (from !== undefined && !existsSync(join(from, 'llama-imatrix')))
    throw new Error(
      `there is no llama-imatrix in ${from}; leave --llama out to compare with the library from npm`,
    );
  if (from === undefined)
    return { 'llama.cpp’s library from npm, which makes no importance matrix (see --llama)': library };
  return {
    'llama-imatrix and llama-quantize': (...text) => programs(resolve(from), ...text, true),
    'llama-imatrix --no-ppl and llama-quantize': (...text) => programs(resolve(from), ...text, false),
  };
}

try {
  // As exact as most originals are, and what llama.cpp is the faster on.
  await tersor('compress', model, '-o', file('original.gguf'), '--type', 'f16', '--embedding-type', 'f16');
  const solvers = flags.solver.split(',');
  const runs = new Map<string, Run[]>(solvers.map((solver) => [solver, []]));
  const others = Object.entries(peers()).map(([name, once]) => ({ name, once, runs: [] as Run[] }));
  let text = { tokens: 0, context: 0 };
  for (let pair = 0; pair < Number(flags.pairs); pair++) {
    for (const [solver, done] of runs) done.push(await compressOnce(solver));
    text = await calibrated();
    for (const { once, runs } of others)
      runs.push(await once(text.context, Math.floor(text.tokens / text.context)));
    const seconds = [...runs.values(), ...others.map(({ runs }) => runs)].map((all) => all.at(-1)?.all ?? 0);
    console.error(`pair ${pair + 1}: ${seconds.map((value) => `${value.toFixed(1)} s`).join(', ')}`);
  }
  console.log(
    `${model} at ${type}, ${text.tokens} tokens in sequences of ${text.context}, ${threads} threads; medians of ${flags.pairs}`,
  );
  for (const { name, runs } of others) report(name, runs);
  for (const [solver, done] of runs) {
    report(`tersor, ${solver === 'default' ? 'default recipe' : `solver ${solver}`}`, done);
    for (const { name, runs } of others) compare(name, done, runs);
    if (hashes.get(solver)?.size !== 1) throw new Error(`${solver}: the files of these runs differ`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
