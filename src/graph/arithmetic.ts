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
    name: keyof typeof results,
    length: number,
    inputs: Readonly<Record<string, Float32Array>>,
  ): Promise<Float32Array> => {
    const key = `${name} ${length}`;
    const program = programs.get(key) ?? compile({ result: results[name](length) }, options);
    programs.set(key, program);
    return (await (await program).run(inputs)).result ?? new Float32Array();
  };
  return {
    plus: (y, by, x) => run('plus', y.length, { y, x, by: Float32Array.of(by) }),
    scale: (by, x) => run('scale', x.length, { x, by: Float32Array.of(by) }),
    product: (x, y) => run('product', x.length, { x, y }),
    plusSquare: (sum, x) => run('plusSquare', x.length, { sum, x }),
    async release() {
      for (const program of programs.values()) await (await program).release();
      programs.clear();
    },
  };
}

const results = {
  plus: (length: number) => g.add(g.input('y', [length]), scaled(length)),
  scale: (length: number) => scaled(length),
  product: (length: number) => g.mul(g.input('x', [length]), g.input('y', [length])),
  plusSquare(length: number) {
    const x = g.input('x', [length]);
    return g.add(g.input('sum', [length]), g.mul(x, x));
  },
};

const scaled = (length: number): Value => g.mul(g.input('by', [1]), g.input('x', [length]));
