import type { RuntimeOptions } from '../runtime/session.js';
import * as g from './build.js';
import { compile, type Program } from './program.js';
import type { Value } from './value.js';

/** Sums and products of arrays, element by element; all of one length. */
export interface Arithmetic {
  /** y + by · x */
  plus(y: Float32Array, by: number, x: Float32Array): Promise<Float32Array>;
  /** by · x */
  scale(by: number, x: Float32Array): Promise<Float32Array>;
  /** x ⊙ y */
  product(x: Float32Array, y: Float32Array): Promise<Float32Array>;
  /** sum + x ⊙ x */
  plusSquare(sum: Float32Array, x: Float32Array): Promise<Float32Array>;
  release(): Promise<void>;
}

export function createArithmetic(options: RuntimeOptions = {}): Arithmetic {
  const programs = new Map<string, Promise<Program>>();
  const run = async (
    name: string,
    length: number,
    result: (array: (name: string) => Value) => Value,
    inputs: Readonly<Record<string, Float32Array>>,
  ): Promise<Float32Array> => {
    const key = `${name} ${length}`;
    const program =
      programs.get(key) ?? compile({ result: result((array) => g.input(array, [length])) }, options);
    programs.set(key, program);
    return (await (await program).run(inputs)).result ?? new Float32Array();
  };
  const by = g.input('by', [1]);
  return {
    plus: (y, factor, x) =>
      run('plus', y.length, (array) => g.add(array('y'), g.mul(by, array('x'))), {
        y,
        x,
        by: Float32Array.of(factor),
      }),
    scale: (factor, x) =>
      run('scale', x.length, (array) => g.mul(by, array('x')), { x, by: Float32Array.of(factor) }),
    product: (x, y) => run('product', x.length, (array) => g.mul(array('x'), array('y')), { x, y }),
    plusSquare: (sum, x) =>
      run('square', x.length, (array) => g.add(array('sum'), g.mul(array('x'), array('x'))), { sum, x }),
    async release() {
      for (const program of programs.values()) await (await program).release();
      programs.clear();
    },
  };
}
