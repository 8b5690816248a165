import koffi, { type TypeObject } from 'koffi';
import type { Fields, Pointer } from './llama-abi.js';

/** Memory of the library's side: it stays where it is while an asynchronous call works on it. */
export interface NativeArray<T> {
  readonly pointer: bigint;
  readonly array: T;
}

export function nativeInt32(length: number): NativeArray<Int32Array> {
  const { pointer, array } = nativeMemory(length * 4);
  return { pointer, array: new Int32Array(array) };
}

export function nativeFloats(length: number): NativeArray<Float32Array> {
  const { pointer, array } = nativeMemory(length * 4);
  return { pointer, array: new Float32Array(array) };
}

export function nativeBytes(length: number): NativeArray<Uint8Array> {
  const { pointer, array } = nativeMemory(length);
  return { pointer, array: new Uint8Array(array) };
}

/** An array of structs, with the values given. */
export function nativeStructs(type: TypeObject, values: readonly Fields[]): NativeArray<ArrayBuffer> {
  const memory = nativeMemory(type.size * values.length);
  values.forEach((value, index) => {
    koffi.encode(memory.pointer, index * type.size, type, value);
  });
  return memory;
}

function nativeMemory(bytes: number): NativeArray<ArrayBuffer> {
  const pointer: bigint = koffi.alloc('uint8_t', bytes);
  return { pointer, array: koffi.view(pointer, bytes) };
}

/** Releases memory; the arrays on it must not be used any more. */
export function freeNative(...arrays: readonly NativeArray<unknown>[]): void {
  for (const { pointer } of arrays) koffi.free(pointer);
}

/** Copies floats out of the library's memory. */
export function copyFloats(from: Pointer, into: Float32Array): void {
  into.set(new Float32Array(koffi.view(from, into.byteLength)));
}
