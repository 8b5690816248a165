import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errorsIn, type Outcome, tersor } from './fixtures/command.js';
import { micros, writeMicro } from './fixtures/micro.js';
import { needs } from './fixtures/needs.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-bad-input-'));
const intact = join(folder, 'intact');
const room = join(folder, 'room');
const model = join(room, 'model');
const weights = join(model, 'model.safetensors');
beforeAll(() => writeMicro(intact, micros.llama, 1));
afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(() => {
  rmSync(room, { recursive: true, force: true });
  cpSync(intact, model, { recursive: true });
});

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Rewrites the header of a safetensors file; the data behind it stays. */
function editHeader(edit: (header: Record<string, Entry>) => void): void {
  const bytes = readFileSync(weights);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  edit(header);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(weights, Buffer.concat([prefix, text, bytes.subarray(8 + length)]));
}

const entry = (header: Record<string, Entry>, name: string): Entry => {
  const found = header[name];
  if (!found) throw new Error(`the model has no ${name}`);
  return found;
};

/** Overwrites one number in the middle of a tensor. */
function poison(name: string, value: number): void {
  const bytes = readFileSync(weights);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const [from, to] = entry(header, name).data_offsets;
  bytes.writeFloatLE(value, 8 + length + from + 4 * Math.floor((to - from) / 8));
  writeFileSync(weights, bytes);
}

function editConfig(edit: (config: Record<string, unknown>) => void): void {
  const path = join(model, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  edit(config);
  writeFileSync(path, JSON.stringify(config));
}

const last = 'model.layers.1.mlp.down_proj.weight';
const text = join(room, 'text.txt');
const output = join(room, 'model.gguf');
const recipe = ['--type', 'q4_0', '--tokens', '256', '--context', '64', '--threads', '1'];

/** What is wrong, how to make it so, what the line must say, and the words that differ from a good run's. */
interface Case {
  readonly harm?: () => void;
  readonly names: readonly string[];
  readonly words?: readonly string[];
  readonly output?: string;
}

const cases: Readonly<Record<string, Case>> = {
  'truncated safetensors': {
    harm: () => writeFileSync(weights, readFileSync(weights).subarray(0, -1000)),
    names: [weights, 'truncated', 'get an intact copy'],
  },
  'header longer than the file': {
    harm: () => {
      const bytes = readFileSync(weights);
      bytes.writeBigUInt64LE(BigInt(bytes.length));
      writeFileSync(weights, bytes);
    },
    names: [weights, 'header', 'get an intact copy'],
  },
  'overlapping offsets': {
    harm: () =>
      editHeader((header) => {
        const offsets = entry(header, last).data_offsets;
        offsets[0] -= 4;
        offsets[1] -= 4;
      }),
    names: [weights, last, 'overlaps', 'get an intact copy'],
  },
  'missing shard': {
    harm: () => {
      const names = Object.keys(micros.llama.shapes);
      const shard = (name: string) => (name === last ? 'b.safetensors' : 'a.safetensors');
      const map = Object.fromEntries(names.map((name) => [name, shard(name)]));
      writeFileSync(join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
      cpSync(weights, join(model, 'a.safetensors'));
      rmSync(weights);
    },
    names: [join(model, 'b.safetensors'), 'does not exist'],
  },
  'NaN in weights': {
    harm: () => poison(last, Number.NaN),
    names: [model, 'NaN'],
  },
  'infinity in weights': {
    harm: () => poison(last, Number.POSITIVE_INFINITY),
    names: [model, 'finite'],
  },
  'NaN in the embedding': {
    harm: () => poison('model.embed_tokens.weight', Number.NaN),
    names: [model, 'NaN'],
  },
  'NaN in a norm': {
    harm: () => poison('model.layers.1.input_layernorm.weight', Number.NaN),
    names: [model, 'NaN'],
  },
  'unknown dtype': {
    harm: () =>
      editHeader((header) => {
        entry(header, last).dtype = 'F12';
      }),
    names: [weights, last, 'F12', 'convert'],
  },
  'unknown architecture': {
    harm: () =>
      editConfig((config) => {
        config.model_type = 'perceptron';
      }),
    names: [model, '"perceptron"', 'use one of llama'],
  },
  'incomplete configuration': {
    harm: () =>
      editConfig((config) => {
        delete config.num_attention_heads;
      }),
    names: [model, 'num_attention_heads'],
  },
  'missing tokenizer': {
    harm: () => rmSync(join(model, 'tokenizer.json')),
    names: [model, 'tokenizer'],
  },
  'missing model': {
    harm: () => rmSync(model, { recursive: true }),
    names: [model],
  },
  'empty calibration text': {
    harm: () => writeFileSync(text, ' \n'),
    words: ['--calibration', text],
    names: [text, 'empty', 'give'],
  },
  'calibration text that does not exist': {
    words: ['--calibration', text],
    names: [text, 'does not exist', 'give'],
  },
  'calibration text too short for one sequence': {
    harm: () => writeFileSync(text, 'Once upon a time.'),
    words: ['--calibration', text],
    names: [text, 'one sequence', 'give'],
  },
  'output folder that does not exist': {
    output: join(room, 'nowhere', 'model.gguf'),
    names: [join(room, 'nowhere'), 'does not exist', 'mkdir'],
  },
  'output that is a folder': {
    harm: () => mkdirSync(output),
    names: [output, 'folder', 'give'],
  },
  'output of another name than its kind has': {
    output: join(room, 'model.bin'),
    words: ['--format', 'gguf'],
    names: [join(room, 'model.bin'), 'end in .gguf', 'add .gguf'],
  },
  'unknown type': {
    words: ['--type', 'q9_z'],
    names: ['q9_z', 'choose one of'],
  },
  'unknown solver': {
    words: ['--solver', 'sudoku'],
    names: ['sudoku', 'rtn', 'gptq'],
  },
  'less memory than a block takes': {
    words: ['--memory', '1MB'],
    names: [model, 'memory', 'give --memory'],
  },
  'override of nothing': {
    words: ['--override', 'blk.77=q8_0'],
    names: ['blk.77', 'inspect'],
  },
};

const listing = () =>
  readdirSync(room, { recursive: true, encoding: 'utf8' })
    .map((name) => `${name} ${statSync(join(room, name)).size}`)
    .sort();

function expectOneLine({ code, errors }: Outcome, names: readonly string[]): void {
  expect(errors).toMatch(/^error: [^\n]+\n$/);
  expect(code).toBe(1);
  for (const name of names) expect(errors).toContain(name);
  expect(errors).not.toContain('fault in tersor');
}

test('the model and the command line of these tests are good', async () => {
  const outcome = await tersor('compress', model, '-o', output, ...recipe);
  expect(outcome).toMatchObject({ code: 0, errors: '' });
});

describe('one line on standard error, and nothing left behind', () => {
  test.each(Object.entries(cases))('%s', async (_, { harm, names, words = [], output: target = output }) => {
    harm?.();
    const before = listing();
    const outcome = await tersor('compress', model, '-o', target, ...recipe, ...words);
    expectOneLine(outcome, names);
    expect(listing()).toEqual(before);
  });
});

describe('the installed command', () => {
  const bin = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  // Permissions do not hold the superuser back, so that the command runs as somebody else then.
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const run = (words: readonly string[], user = {}): Outcome => {
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', ...user });
    return { code: status ?? -1, stdout, stderr, errors: errorsIn(stderr) };
  };
  const permissionsHold = process.platform !== 'win32' && run([bin, '--version'], nobody).code === 0;

  test('fails in the same way', () => {
    writeFileSync(weights, readFileSync(weights).subarray(0, -1000));
    const before = listing();
    expectOneLine(run([bin, 'compress', model, '-o', output, ...recipe]), [weights, 'truncated']);
    expect(listing()).toEqual(before);
  });

  const missing = permissionsHold ? undefined : 'no user whom permissions hold back can run the command';

  test('output folder that is not writable', needs(missing), () => {
    chmodSync(folder, 0o755);
    chmodSync(room, 0o555);
    const before = listing();
    expectOneLine(run([bin, 'compress', model, '-o', output, ...recipe], nobody), [
      room,
      'not writable',
      'choose',
    ]);
    expect(listing()).toEqual(before);
    chmodSync(room, 0o755);
  });
});
