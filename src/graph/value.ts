import type { ElementType } from '../runtime/onnx.js';
import type { OpName } from './ops.js';

/** Whole numbers, lists of them, or named choices; a number that is not whole is written as a float. */
export type Attributes = Readonly<Record<string, number | boolean | string | readonly number[]>>;

/**
 * A node of a tensor program: one array that the program computes, takes in or holds. Programs are plain
 * values that point to their inputs; sharing a value shares the computation. Shapes are concrete, so every
 * rule (shape, lowering, later the gradient) is local to its op.
 */
export interface Value {
  readonly op: OpName;
  readonly inputs: readonly Value[];
  readonly attributes: Attributes;
  readonly type: ElementType;
  readonly shape: readonly number[];
  /** Set for inputs, unique in a program. */
  readonly name?: string;
  /** Set for constants. */
  readonly data?: Float32Array | BigInt64Array;
}

/** All values that the given ones depend on, themselves included, each after its inputs. */
export function topological(outputs: readonly Value[]): Value[] {
  const order: Value[] = [];
  const seen = new Set<Value>();
  const visit = (value: Value) => {
    if (seen.has(value)) return;
    seen.add(value);
    value.inputs.forEach(visit);
    order.push(value);
  };
  outputs.forEach(visit);
  return order;
}

export const elements = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);
