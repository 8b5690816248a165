/**
 * Many corrupt files for every reader, in worker threads under a watchdog: node bench/run.mjs fuzz [cases] [target].
 * A case fails when the reader crashes, takes longer than 5 s, takes more memory than twice the file (beside what
 * the allocator needs) or fails without a TersorError of one line that names the file. Case numbers repeat a case.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { openRun } from '../test/fuzz/run.js';
import { type Target, targets } from '../test/fuzz/targets.js';

const hang = 5000;
/** What garbage collectors and thread stacks may take, whatever the file. */
const slack = 100e6;
const findings = join('build', 'fuzz');

interface Assignment {
  readonly target: string;
  readonly from: number;
  readonly to: number;
  /** The case being run, then how many were read and how many refused, which survive the worker's end. */
  readonly progress: Int32Array;
}

interface Failure {
  readonly index: number;
  readonly failure: string;
}
const done = 'done';
const slot = { index: 0, read: 1, refused: 2 } as const;

const find = (name: string): Target => {
  const target = targets.find((entry) => entry.name === name);
  if (!target)
    throw new Error(`there is no target ${name}; there are ${targets.map((entry) => entry.name).join(', ')}`);
  return target;
};

async function work({ target: name, from, to, progress }: Assignment): Promise<void> {
  const target = find(name);
  const run = await openRun(target);
  let peak = process.resourceUsage().maxRSS * 1024;
  for (let index = from; index < to; index++) {
    Atomics.store(progress, slot.index, index);
    const content = run.content(index);
    const verdict = await run.attempt(content);
    if (typeof verdict === 'object') parentPort?.postMessage({ index, ...verdict } satisfies Failure);
    else Atomics.add(progress, slot[verdict], 1);
    const now = process.resourceUsage().maxRSS * 1024;
    if (now - peak > 2 * content.length + slack) {
      const failure = `took ${Math.round((now - peak) / 1e6)} MB for a file of ${content.length} bytes`;
      parentPort?.postMessage({ index, failure } satisfies Failure);
    }
    peak = now;
  }
  await run.close();
  parentPort?.postMessage(done);
}

/** A case at which a worker stopped, either because it did not end or because the worker broke down. */
interface Stop {
  readonly at: number;
  readonly hangs: boolean;
}

interface Total {
  read: number;
  refused: number;
  readonly failures: Failure[];
}

/** Runs cases [from, to) in a worker; resolves with the case at which it stopped, if there was one. */
function supervise(target: string, from: number, to: number, total: Total): Promise<Stop | undefined> {
  const progress = new Int32Array(new SharedArrayBuffer(12));
  progress[slot.index] = from - 1;
  return new Promise((resolve) => {
    const worker = new Worker('./bench/run.mjs', {
      argv: ['fuzz'],
      workerData: { target, from, to, progress } satisfies Assignment,
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    let seen = -2;
    const watchdog = setInterval(async () => {
      const current = Atomics.load(progress, slot.index);
      if (current >= from && current === seen) await stop({ at: current, hangs: true });
      seen = current;
    }, hang);
    const stop = async (stopped: Stop | undefined) => {
      clearInterval(watchdog);
      await worker.terminate();
      total.read += progress[slot.read] ?? 0;
      total.refused += progress[slot.refused] ?? 0;
      resolve(stopped);
    };
    worker.on('message', (message: Failure | typeof done) => {
      if (message === done) void stop(undefined);
      else total.failures.push(message);
    });
    worker.on('error', (error) => {
      const index = Atomics.load(progress, slot.index);
      total.failures.push({ index, failure: String(error) });
      void stop({ at: index, hangs: false });
    });
  });
}

async function campaign(target: Target, cases: number): Promise<number> {
  const total: Total = { read: 0, refused: 0, failures: [] };
  for (let from = 0; from < cases; ) {
    const stopped = await supervise(target.name, from, cases, total);
    from = stopped === undefined ? cases : stopped.at + 1;
    // On a busy machine any case may seem to hang: what does not end by itself either does.
    if (stopped?.hangs && (await supervise(target.name, from - 1, from, total))?.hangs)
      total.failures.push({ index: from - 1, failure: `no end after ${hang / 1000} s` });
  }
  const { read, refused, failures } = total;
  console.log(
    `${target.name.padEnd(20)}${[cases, read, refused, failures.length].map((n) => String(n).padStart(9)).join('')}`,
  );
  await mkdir(findings, { recursive: true });
  const run = await openRun(target);
  for (const { index, failure } of failures.slice(0, 20)) {
    console.log(`  case ${index}: ${failure.split('\n').slice(0, 3).join(' | ')}`);
    await writeFile(join(findings, `${target.name}-${index}-${basename(target.file)}`), run.content(index));
  }
  await run.close();
  return failures.length;
}

if (isMainThread) {
  const [, , , cases = '20000', only] = process.argv;
  console.log(
    `${'reader'.padEnd(20)}${['cases', 'read', 'refused', 'failed'].map((word) => word.padStart(9)).join('')}`,
  );
  let failed = 0;
  for (const target of only ? [find(only)] : targets) failed += await campaign(target, Number(cases));
  process.exitCode = failed > 0 ? 1 : 0;
} else {
  await work(workerData as Assignment);
}
