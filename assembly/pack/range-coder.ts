// Adaptive binary range coder: an interval is narrowed bit by bit in proportion to the probability of what was coded
// (Martin, 1979), bytes leave at the top, and carries run into those that are held back. A model is two estimates of
// the probability of a 0, 16 bits each, that forget at different speeds; their mean is used.

/** Bytes of one model. */
export const modelBytes: usize = 8;
const half: u32 = 1 << 15;
const one: u32 = 1 << 16;
const fastRate: u32 = 4;
const slowRate: u32 = 7;

/** Neither bit gets less than this, so that every interval stays wide enough. */
const least: u32 = 32;
const top: u32 = 1 << 24;
let low: u64 = 0;
let range: u32 = 0;
let code: u32 = 0;

/** The last byte before the interval, and how many bytes behind it wait for a carry. */
let held: u32 = 0;
let waiting: u32 = 0;
let at: usize = 0;
let end: usize = 0;

export function resetModels(models: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    store<u32>(models + <usize>i * modelBytes, half);
    store<u32>(models + <usize>i * modelBytes, half, 4);
  }
}

function probability(model: usize): u32 {
  const mean = (load<u32>(model) + load<u32>(model, 4)) >>> 1;
  return min(one - least, max(least, mean));
}

function learn(model: usize, bit: u32): void {
  const fast = load<u32>(model);
  const slow = load<u32>(model, 4);
  store<u32>(model, bit ? fast - (fast >>> fastRate) : fast + ((one - fast) >>> fastRate));
  store<u32>(model, bit ? slow - (slow >>> slowRate) : slow + ((one - slow) >>> slowRate), 4);
}

export function beginEncoding(into: usize): void {
  low = 0;
  range = 0xffffffff;
  held = 0;
  waiting = 0;
  at = into;
}

/** Moves the topmost byte of the interval's lower end out, or lets it wait while a carry could still change it. */
function shift(): void {
  if (low < 0xff000000 || low > 0xffffffff) {
    const carry = <u32>(low >>> 32);
    store<u8>(at++, held + carry);
    for (; waiting > 0; waiting--) store<u8>(at++, 0xff + carry);
    held = <u32>((low >>> 24) & 0xff);
  } else waiting++;
  low = (low & 0x00ffffff) << 8;
}

function narrow(bound: u32, bit: u32): void {
  if (bit) {
    low += bound;
    range -= bound;
  } else range = bound;
  while (range < top) {
    range <<= 8;
    shift();
  }
}

export function encodeBit(model: usize, bit: u32): void {
  narrow((range >>> 16) * probability(model), bit);
  learn(model, bit);
}

/** A bit of which nothing is known. */
export function encodeRawBit(bit: u32): void {
  narrow(range >>> 1, bit);
}

/** @returns where the bytes end */
export function endEncoding(): usize {
  for (let i = 0; i < 5; i++) shift();
  return at;
}

export function beginDecoding(from: usize, bytes: i32): void {
  range = 0xffffffff;
  code = 0;
  at = from;
  end = from + <usize>bytes;
  for (let i = 0; i < 5; i++) code = (code << 8) | next();
}

/** Behind the end there are zeros. */
function next(): u32 {
  const byte: u32 = at < end ? load<u8>(at) : 0;
  at++;
  return byte;
}

function widen(bound: u32): u32 {
  let bit: u32 = 0;
  if (code < bound) range = bound;
  else {
    code -= bound;
    range -= bound;
    bit = 1;
  }
  while (range < top) {
    range <<= 8;
    code = (code << 8) | next();
  }
  return bit;
}

export function decodeBit(model: usize): u32 {
  const bit = widen((range >>> 16) * probability(model));
  learn(model, bit);
  return bit;
}

export function decodeRawBit(): u32 {
  return widen(range >>> 1);
}

/** Whether as many bytes were read as there are. */
export function decodedAll(): bool {
  return at == end;
}
