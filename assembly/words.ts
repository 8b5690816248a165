// Codes in 32-bit words, as GPTQ's and compressed-tensors' checkpoints keep them (src/grid/packed-int32/packed-int32.ts). A lane is what is
// packed by itself: a row of a weight, or a group's zero points.
import { fromBrain, fromHalf, toHalf } from './half';

/** Codes that fill whole words whatever their width, where codes may lie across two words. */
const denseCodes: i32 = 32;

/**
 * Packs the codes of lanes [start, end), plus `add`, into words, the first code in the lowest bits.
 * @param codes code j of lane l at `codes + j · codeStep + l · laneStep`
 * @param dense whether codes go on in the next word where one ends; if not, a word has ⌊32 / bits⌋ of them
 * @param words word i of lane l at `words + i · wordPitch + l · lanePitch`
 */
export function packWords(
  start: i32,
  end: i32,
  codes: usize,
  codeStep: i32,
  laneStep: i32,
  count: i32,
  bits: i32,
  dense: i32,
  add: i32,
  words: usize,
  wordPitch: i32,
  lanePitch: i32,
): void {
  const size = dense ? denseCodes : 32 / bits;
  const mask = (1 << bits) - 1;
  const chunkWords = dense ? bits : 1;
  for (let first = 0, word = 0; first < count; first += size, word += chunkWords) {
    const width = min(size, count - first);
    for (let lane = start; lane < end; lane++) {
      let from = codes + <usize>first * <usize>codeStep + <usize>lane * <usize>laneStep;
      let into = words + <usize>word * <usize>wordPitch + <usize>lane * <usize>lanePitch;
      let pending: u64 = 0;
      let filled = 0;
      for (let i = 0; i < width; i++, from += codeStep) {
        pending |= (<u64>((<i32>load<u8>(from) + add) & mask)) << filled;
        filled += bits;
        if (filled < 32) continue;
        store<u32>(into, <u32>pending);
        into += wordPitch;
        pending >>= 32;
        filled -= 32;
      }
      if (filled > 0) store<u32>(into, <u32>pending);
    }
  }
}

/** The inverse of packWords: codes are what the words hold, plus `add`, which must fit a byte. */
export function unpackWords(
  start: i32,
  end: i32,
  codes: usize,
  codeStep: i32,
  laneStep: i32,
  count: i32,
  bits: i32,
  dense: i32,
  add: i32,
  words: usize,
  wordPitch: i32,
  lanePitch: i32,
): void {
  const size = dense ? denseCodes : 32 / bits;
  const mask = (1 << bits) - 1;
  const chunkWords = dense ? bits : 1;
  for (let first = 0, word = 0; first < count; first += size, word += chunkWords) {
    const width = min(size, count - first);
    for (let lane = start; lane < end; lane++) {
      let into = codes + <usize>first * <usize>codeStep + <usize>lane * <usize>laneStep;
      let from = words + <usize>word * <usize>wordPitch + <usize>lane * <usize>lanePitch;
      let pending: u64 = 0;
      let filled = 0;
      for (let i = 0; i < width; i++, into += codeStep) {
        if (filled < bits) {
          pending |= (<u64>load<u32>(from)) << filled;
          from += wordPitch;
          filled += 32;
        }
        store<u8>(into, <u8>((<i32>pending & mask) + add));
        pending >>= bits;
        filled -= bits;
      }
    }
  }
}

/** Scales of rows [start, end), groups × stride, as halves: group g of row r at `into + g · groupPitch + r · rowPitch`. */
export function storeScales(
  start: i32,
  end: i32,
  groups: i32,
  stride: i32,
  scales: usize,
  into: usize,
  groupPitch: i32,
  rowPitch: i32,
): void {
  for (let group = 0; group < groups; group++) {
    for (let row = start; row < end; row++) {
      const at = <usize>group * <usize>stride + <usize>row;
      const half = toHalf(v128.load32_splat(scales + (at << 2)));
      const to = into + <usize>group * <usize>groupPitch + <usize>row * <usize>rowPitch;
      store<u16>(to, <u16>i32x4.extract_lane(half, 0));
    }
  }
}

/**
 * The inverse of storeScales.
 * @param kind of the stored numbers: 0 halves, 1 bfloat16, 2 floats
 */
export function loadScales(
  start: i32,
  end: i32,
  groups: i32,
  stride: i32,
  scales: usize,
  from: usize,
  groupPitch: i32,
  rowPitch: i32,
  kind: i32,
): void {
  for (let group = 0; group < groups; group++) {
    for (let row = start; row < end; row++) {
      const at = from + <usize>group * <usize>groupPitch + <usize>row * <usize>rowPitch;
      let value: f32;
      if (kind == 2) value = load<f32>(at);
      else {
        const bits = i32x4.splat(load<u16>(at));
        value = f32x4.extract_lane(kind == 1 ? fromBrain(bits) : fromHalf(bits), 0);
      }
      store<f32>(scales + ((<usize>group * <usize>stride + <usize>row) << 2), value);
    }
  }
}

/**
 * Values of rows [start, end) of codes (cols × stride) whose columns belong to groups in any order:
 * `scale[group] · (code + low) + offset[group]`.
 * @param groupOf group of every column
 */
export function dequantizeGathered(
  start: i32,
  end: i32,
  codes: usize,
  stride: i32,
  cols: i32,
  groupOf: usize,
  low: i32,
  scales: usize,
  offsets: usize,
  values: usize,
): void {
  for (let col = 0; col < cols; col++) {
    const line = <usize>col * <usize>stride;
    const group = <usize>load<i32>(groupOf + ((<usize>col) << 2)) * <usize>stride;
    for (let row = <usize>start; row < <usize>end; row++) {
      const at = (group + row) << 2;
      const level = <f32>(<i32>load<u8>(codes + line + row) + low);
      store<f32>(values + ((line + row) << 2), load<f32>(scales + at) * level + load<f32>(offsets + at));
    }
  }
}
