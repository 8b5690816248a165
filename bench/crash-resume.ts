/**
 * Ends `tersor compress` (SIGKILL) at random moments and lets the same command go on, until there are so many files and at least
 * as many interruptions; every file must have the bytes of an undisturbed run, and no solved tensor may be solved again.
 *
 *   node bench/run.mjs crash-resume [files] [model] [type] [calibration text] [tokens]
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandom, type Random } from '../src/random.js';
import { tales } from '../test/fixtures/data.js';

const [
  ,
  ,
  ,
  count = '25',
  model = tales.model,
  type = 'q4_k',
  calibration = tales.calibration,
  tokens = '4096',
] = process.argv;
const folder = mkdtempSync(join(tmpdir(), 'tersor-crashes-'));
const store = join(folder, 'store');
const output = join(folder, 'model.gguf');
const words = [
  'compress',
  model,
  '-o',
  output,
  '--type',
  type,
  '--calibration',
  calibration,
  '--tokens',
  tokens,
];
const command = [
  fileURLToPath(new URL('../dist/cli/main.js', import.meta.url)),
  ...words,
  ...['--store', store, '--solver', 'gptq', '--threads', '1', '--json'],
];

const hash = () => createHash('sha256').update(readFileSync(output)).digest('hex');
const files = () => readdirSync(folder).filter((name) => name !== 'store');
/** Which file each entry of the store is: a tensor that is solved again becomes another file. */
function entries(): Map<string, number> {
  const files = new Map<string, number>();
  for (const name of existsSync(store) ? readdirSync(store) : []) {
    // A finished run removes its entries while they are counted.
    const file = name.includes('.tmp-') ? undefined : statSync(join(store, name), { throwIfNoEntry: false });
    if (file) files.set(name, file.ino);
  }
  return files;
}

interface Result {
  readonly resumed: number;
}

/** Called every few milliseconds with what has passed since the start and the tensors in the store; true ends the process. */
type Watch = (milliseconds: number, solved: number) => boolean;

/** @returns the run's result, if it came to its end */
function run(watch: Watch): Promise<Result | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
    const start = performance.now();
    const timer = setInterval(() => {
      if (watch(performance.now() - start, entries().size)) child.kill('SIGKILL');
    }, 5);
    const text = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name].on('data', (part) => {
        text[name] += part;
      });
    child.on('close', (code, signal) => {
      clearInterval(timer);
      if (signal === 'SIGKILL') resolve(undefined);
      else if (code === 0) resolve(JSON.parse(text.stdout));
      else reject(new Error(text.stderr));
    });
  });
}

/**
 * When the first of so many tensors was in the store, in milliseconds: at 0 the start, and last of all the end. Moments
 * to end at are drawn from it as stages, so that they stay where they should when the machine is slower later.
 */
async function undisturbed(): Promise<readonly number[]> {
  const moments = [0];
  let end = 0;
  await run((milliseconds, solved) => {
    while (moments.length <= solved) moments.push(milliseconds);
    end = milliseconds;
    return false;
  });
  return [...moments, end];
}

/** A fifth before the first tensor is solved, a fifth behind the last one, the rest between. */
function endingAt(moments: readonly number[], { next, integer }: Random): Watch {
  const total = moments.length - 2;
  const draw = next();
  const stage = draw < 0.2 ? 0 : draw < 0.4 ? total : 1 + integer(total - 1);
  const share = next();
  const start = moments[stage] ?? 0;
  let begun = false;
  let due: number | undefined;
  return (milliseconds, solved) => {
    if (due === undefined && solved >= stage) {
      // Where an earlier run has come so far, the moment lies anywhere in what is left to do.
      const end = stage > 0 && !begun ? moments.at(-1) : moments[stage + 1];
      due = milliseconds + share * ((end ?? 0) - start);
    }
    begun = true;
    return due !== undefined && milliseconds >= due;
  };
}

const never: Watch = () => false;

try {
  const random = createRandom(1);
  const moments = await undisturbed();
  const expected = hash();
  const seconds = ((moments.at(-1) ?? 0) / 1000).toFixed(1);
  console.log(`undisturbed: ${moments.length - 2} tensors, ${seconds} s, ${expected.slice(0, 16)}`);
  let [crashes, identical, runs, again, taken] = [0, 0, 0, 0, 0];
  while (runs < Number(count) || crashes < Number(count)) {
    rmSync(store, { recursive: true, force: true });
    let known = new Map<string, number>();
    // Two of three files are interrupted more than once.
    let result: Result | undefined;
    for (let left = 1 + (runs % 3); left > 0; left--) {
      result = await run(endingAt(moments, random));
      if (result) break;
      crashes++;
      const now = entries();
      again += [...known].filter(([name, file]) => now.get(name) !== file).length;
      known = now;
      console.log(`crash ${crashes}: ${known.size} tensors solved`);
    }
    result ??= await run(never);
    runs++;
    taken += result?.resumed ?? 0;
    again += known.size - (result?.resumed ?? 0);
    const same = hash() === expected;
    if (same) identical++;
    console.log(
      `file ${runs}: took over ${result?.resumed} of ${known.size}, ${same ? 'identical' : 'DIFFERENT'}`,
    );
    rmSync(output);
  }
  console.log(
    `${crashes} crashes, ${identical} of ${runs} files identical, ${taken} tensors taken over, ${again} solved twice`,
  );
  console.log(`left behind: ${files().join(' ') || 'nothing'}`);
  if (identical < runs || again > 0) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
