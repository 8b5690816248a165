import type { Random } from '../../src/random.js';

/** A corrupt copy of an input. */
export type Mutation = (input: Uint8Array, random: Random) => Uint8Array;

/** Numbers at which readers of sizes and offsets go wrong. */
const edges = [
  0,
  1,
  2,
  7,
  8,
  31,
  32,
  127,
  128,
  255,
  256,
  65535,
  65536,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];
const wideEdges = [2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];

const pick = <T>(choices: readonly T[], random: Random): T => choices[random.integer(choices.length)] as T;

/** Headers are where corruption is interesting: half of all places lie in the first kilobyte. */
function place(input: Uint8Array, random: Random): number {
  const end = random.next() < 0.5 ? Math.min(1024, input.length) : input.length;
  return random.integer(Math.max(1, end));
}

const byteMutations: readonly Mutation[] = [
  function flipBit(input, random) {
    const at = place(input, random);
    input[at] = (input[at] ?? 0) ^ (1 << random.integer(8));
    return input;
  },
  function setByte(input, random) {
    input[place(input, random)] = pick([0, 1, 0x7f, 0x80, 0xff, random.integer(256)], random);
    return input;
  },
  function setNumber(input, random) {
    const at = place(input, random);
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    if (random.next() < 0.5) {
      if (at + 4 <= input.length) view.setUint32(at, pick(edges, random), true);
    } else if (at + 8 <= input.length) view.setBigUint64(at, pick(wideEdges, random), true);
    return input;
  },
  function truncate(input, random) {
    return input.slice(0, random.integer(input.length + 1));
  },
  function extend(input, random) {
    return joined(input, randomBytes(1 + random.integer(64), random));
  },
  function remove(input, random) {
    const at = place(input, random);
    return joined(input.subarray(0, at), input.subarray(at + 1 + random.integer(32)));
  },
  function insert(input, random) {
    const at = place(input, random);
    return joined(input.subarray(0, at), randomBytes(1 + random.integer(16), random), input.subarray(at));
  },
  function repeat(input, random) {
    const at = place(input, random);
    const end = Math.min(input.length, at + 1 + random.integer(64));
    return joined(input.subarray(0, end), input.subarray(at, end), input.subarray(end));
  },
  function swap(input, random) {
    const length = 1 + random.integer(16);
    const [from, to] = [place(input, random), place(input, random)];
    input.copyWithin(to, from, from + length);
    return input;
  },
];

/** One to four mutations of bytes, one after another, on a copy. */
export const mutateBytes: Mutation = (input, random) => {
  let mutated: Uint8Array = Uint8Array.from(input);
  for (let left = 1 + random.integer(4); left > 0; left--)
    mutated = pick(byteMutations, random)(mutated, random);
  return mutated;
};

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values that no reader may trust to be impossible. */
const values: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  -0.5,
  1e-320,
  1.5,
  3,
  2 ** 31,
  2 ** 53,
  1e308,
  '',
  '0',
  'constructor',
  '__proto__',
  '../../../etc/passwd',
  '/etc/passwd',
  '\u0000',
  '\ud800',
  '(a+)+$',
  'x'.repeat(5000),
  [],
  [[]],
  [0, -1],
  [2 ** 31, 2 ** 31],
  {},
  { __proto__: { polluted: true } },
  { type: 'Sequence', normalizers: [], pretokenizers: [], decoders: [] },
];

/** A change somewhere in a JSON document: keys vanish, move and double, values become others. */
export const mutateJson: Mutation = (input, random) => {
  if (random.next() < 0.1) return mutateBytes(input, random);
  const text = new TextDecoder().decode(input);
  let document = JSON.parse(text) as Json;
  for (let left = 1 + random.integer(3); left > 0; left--) document = mutateValue(document, random);
  // A literal key of this name, which objects cannot be given from within.
  const source = JSON.stringify(document).replace('"polluting"', '"__proto__"');
  return new TextEncoder().encode(source);
};

function mutateValue(value: Json, random: Random): Json {
  const inside = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!inside || random.next() < 0.15) return changed(value, random);
  if (Array.isArray(value)) {
    const at = random.integer(value.length);
    const copy = [...value];
    if (random.next() < 0.1) copy.splice(at, 1);
    else copy[at] = mutateValue(copy[at] ?? null, random);
    return copy;
  }
  const key = pick(Object.keys(value), random);
  const { [key]: entry = null, ...rest } = value;
  const action = random.next();
  if (action < 0.15) return rest;
  if (action < 0.25) return { ...rest, [pick([`${key}s`, 'polluting', 'constructor', ''], random)]: entry };
  return { ...value, [key]: mutateValue(entry, random) };
}

function changed(value: Json, random: Random): Json {
  if (typeof value === 'number' && random.next() < 0.5) {
    return pick([value + 1, value - 1, -value, value * 1e6, value / 3, 0], random);
  }
  if (typeof value === 'string' && random.next() < 0.5)
    return pick([`${value}${value}`, value.slice(1), `../${value}`], random);
  return pick(values, random);
}

function randomBytes(length: number, random: Random): Uint8Array {
  return Uint8Array.from({ length }, () => random.integer(256));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
