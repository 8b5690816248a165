// Scales of checkpoints that keep codes in 32-bit words (src/grid/packed-int32/packed-int32.ts).
import { F32Array, U8Array } from '../arrays';
import { fromBrain, fromHalf, toHalf } from '../numbers/half';

@unmanaged
export class StoreScales {
  groups: i32;
  stride: i32;
  scale: F32Array;
  bytes: U8Array;
  groupPitch: i32;
  rowPitch: i32;
}

/** Scales of rows [start, end), groups × stride, as halves: group g of row r at `g · groupPitch + r · rowPitch`. */
export function storeScales(start: i32, end: i32, record: StoreScales): void {
  const groups = record.groups;
  const stride = record.stride;
  const scales = record.scale;
  const into = record.bytes;
  const groupPitch = record.groupPitch;
  const rowPitch = record.rowPitch;
  for (let group = 0; group < groups; group++) {
    for (let row = start; row < end; row++) {
      const at = <usize>group * <usize>stride + <usize>row;
      const half = toHalf(v128.load32_splat(scales + (at << 2)));
      const to = into + <usize>group * <usize>groupPitch + <usize>row * <usize>rowPitch;
      store<u16>(to, <u16>i32x4.extract_lane(half, 0));
    }
  }
}

@unmanaged
export class LoadScales {
  groups: i32;
  stride: i32;
  scale: F32Array;
  bytes: U8Array;
  groupPitch: i32;
  rowPitch: i32;
  /** Of the stored numbers: 0 halves, 1 bfloat16, 2 floats. */
  kind: i32;
}

/** The inverse of storeScales. */
export function loadScales(start: i32, end: i32, record: LoadScales): void {
  const groups = record.groups;
  const stride = record.stride;
  const scales = record.scale;
  const from = record.bytes;
  const groupPitch = record.groupPitch;
  const rowPitch = record.rowPitch;
  const kind = record.kind;
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
