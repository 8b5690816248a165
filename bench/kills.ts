/**
 * Kills `tersor compress` at random moments and lets the same command go on, until it has been killed so many times;
 * every file must have the bytes of an undisturbed run, and no solved tensor may be solved again.
 *
 *   node bench/run.mjs kills [kills] [model] [type] [calibration text] [tokens]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandom } from '../src/random.js';
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
const folder = mkdtempSync(join(tmpdir(), 'tersor-kills-'));
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
  const names = readdirSync(store).filter((name) => !name.includes('.tmp-'));
  return new Map(names.map((name) => [name, statSync(join(store, name)).ino]));
}

interface Result {
  readonly resumed: number;
  readonly seconds: number;
}

function finish(...more: readonly string[]): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...command, ...more], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Runs for so many milliseconds. @returns the run's result, if it came to its end before that */
function killAfter(milliseconds: number): Promise<Result | undefined> {
  return new Promise((done) => {
    const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'ignore'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), milliseconds);
    let text = '';
    child.stdout.on('data', (part) => {
      text += part;
    });
    child.on('close', (_, signal) => {
      clearTimeout(timer);
      done(signal === 'SIGKILL' ? undefined : JSON.parse(text));
    });
  });
}

try {
  const { next } = createRandom(1);
  const { seconds } = finish('--no-resume');
  const expected = hash();
  console.log(`undisturbed: ${seconds.toFixed(1)} s, ${expected.slice(0, 16)}`);
  let [kills, identical, runs, again, taken] = [0, 0, 0, 0, 0];
  while (kills < Number(count)) {
    rmSync(store, { recursive: true, force: true });
    let known = new Map<string, number>();
    // Every other file is interrupted more than once.
    let result: Result | undefined;
    for (let left = 1 + (runs % 3); left > 0 && kills < Number(count); left--) {
      result = await killAfter(1000 * seconds * next());
      if (result) break;
      kills++;
      const now = readdirSync(folder).includes('store') ? entries() : new Map<string, number>();
      again += [...known].filter(([name, file]) => now.get(name) !== file).length;
      known = now;
      console.log(`kill ${kills}: ${known.size} tensors solved`);
    }
    const { resumed } = result ?? finish();
    runs++;
    taken += resumed;
    again += known.size - resumed;
    if (hash() === expected) identical++;
    console.log(
      `file ${runs}: took over ${resumed} of ${known.size}, ${hash() === expected ? 'identical' : 'DIFFERENT'}`,
    );
  }
  console.log(
    `${kills} kills, ${identical} of ${runs} files identical, ${taken} tensors taken over, ${again} solved twice`,
  );
  console.log(
    `left behind: ${
      files()
        .filter((name) => name !== 'model.gguf')
        .join(' ') || 'nothing'
    }`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
