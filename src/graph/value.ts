import type { ElementType } from '../runtime/onnx.js';
import type { Attributes, OpName } from './ops.js';

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
  /** Whether there may be fewer rows than the shape says: how many, the run tells (the tokens of an expert). */
  readonly bounded?: boolean;
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
