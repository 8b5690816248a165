/**
 * Many damaged files for every reader, in worker threads under a watchdog: node bench/run.mjs fuzz [cases] [target].
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
  /** The case being run, and when it began in milliseconds of the parent's clock. */
  readonly progress: Int32Array;
}

type Message =
  | { readonly index: number; readonly failure: string }
  | { readonly read: number; readonly refused: number };

const find = (name: string): Target => {
  const target = targets.find((entry) => entry.name === name);
  if (!target)
    throw new Error(`there is no target ${name}; there are ${targets.map((entry) => entry.name).join(', ')}`);
  return target;
};

async function work({ target: name, from, to, progress }: Assignment): Promise<void> {
  const target = find(name);
  const run = await openRun(target);
  const count = { read: 0, refused: 0 };
  let peak = process.resourceUsage().maxRSS * 1024;
  for (let index = from; index < to; index++) {
    Atomics.store(progress, 0, index);
    const content = run.content(index);
    const verdict = await run.attempt(content);
    if (typeof verdict === 'object') parentPort?.postMessage({ index, ...verdict } satisfies Message);
    else count[verdict]++;
    const now = process.resourceUsage().maxRSS * 1024;
    if (now - peak > 2 * content.length + slack) {
      const failure = `took ${Math.round((now - peak) / 1e6)} MB for a file of ${content.length} bytes`;
      parentPort?.postMessage({ index, failure } satisfies Message);
    }
    peak = now;
  }
  await run.close();
  parentPort?.postMessage(count satisfies Message);
}

/** Runs cases [from, to) in a worker; resolves with the case that did not end, if there was one. */
function supervise(
  target: string,
  from: number,
  to: number,
  tell: (message: Message) => void,
): Promise<number | undefined> {
  const progress = new Int32Array(new SharedArrayBuffer(4)).fill(from - 1);
  return new Promise((resolve) => {
    const worker = new Worker('./bench/run.mjs', {
      argv: ['fuzz'],
      workerData: { target, from, to, progress } satisfies Assignment,
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    let seen = -2;
    const watchdog = setInterval(async () => {
      const current = Atomics.load(progress, 0);
      if (current >= from && current === seen) {
        tell({ index: current, failure: `no end after ${hang / 1000} s` });
        await stop(current);
      }
      seen = current;
    }, hang);
    const stop = async (at: number | undefined) => {
      clearInterval(watchdog);
      await worker.terminate();
      resolve(at);
    };
    worker.on('message', (message: Message) => {
      tell(message);
      if ('read' in message) void stop(undefined);
    });
    worker.on('error', (error) => {
      const index = Atomics.load(progress, 0);
      tell({ index, failure: String(error) });
      void stop(index);
    });
  });
}

async function campaign(target: Target, cases: number): Promise<number> {
  const total = { read: 0, refused: 0, failed: 0 };
  const failures: { index: number; failure: string }[] = [];
  const tell = (message: Message) => {
    if ('failure' in message) failures.push(message);
    else {
      total.read += message.read;
      total.refused += message.refused;
    }
  };
  for (let from = 0; from < cases; ) {
    const stuck = await supervise(target.name, from, cases, tell);
    from = stuck === undefined ? cases : stuck + 1;
  }
  const { read, refused } = total;
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
