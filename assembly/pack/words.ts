// Codes in 32-bit words, as GPTQ's and compressed-tensors' checkpoints keep them (src/grid/packed-int32/packed-int32.ts). A lane is what is
// packed by itself: a row of a weight, or a group's zero points.
import { U8Array } from '../arrays';

/** Codes that fill whole words whatever their width, where codes may lie across two words. */
const denseCodes: i32 = 32;

@unmanaged
export class PackedWords {
  /** Code j of lane l at `codes + j · codeStep + l · laneStep`. */
  codes: U8Array;
  codeStep: i32;
  laneStep: i32;
  count: i32;
  bits: i32;
  /** Whether codes go on in the next word where one ends; if not, a word has ⌊32 / bits⌋ of them. */
  dense: bool;
  add: i32;
  /** Word i of lane l at `words + i · wordPitch + l · lanePitch`. */
  words: U8Array;
  wordPitch: i32;
  lanePitch: i32;
}

/** Packs the codes of lanes [start, end), plus `add`, into words, the first code in the lowest bits. */
export function packWords(start: i32, end: i32, record: PackedWords): void {
  const codes = record.codes;
  const codeStep = record.codeStep;
  const laneStep = record.laneStep;
  const count = record.count;
  const bits = record.bits;
  const dense = record.dense;
  const add = record.add;
  const words = record.words;
  const wordPitch = record.wordPitch;
  const lanePitch = record.lanePitch;
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
export function unpackWords(start: i32, end: i32, record: PackedWords): void {
  const codes = record.codes;
  const codeStep = record.codeStep;
  const laneStep = record.laneStep;
  const count = record.count;
  const bits = record.bits;
  const dense = record.dense;
  const add = record.add;
  const words = record.words;
  const wordPitch = record.wordPitch;
  const lanePitch = record.lanePitch;
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
