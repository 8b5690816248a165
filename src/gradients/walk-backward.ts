import type { Forward, Hidden } from '../architecture/forward.js';
import type { Arrays } from '../graph/program.js';
import { required } from '../required.js';
import type { BackwardPass, Passed } from './backward.js';

type WeightsOf = (block: number | undefined) => Promise<Arrays>;

/** A model that a text has passed forwards, on the way back from its last block to its first. */
export interface BackwardState {
  readonly weightsOf: WeightsOf;
  /** Inputs of the blocks that are left, batch by batch. */
  readonly inputs: Map<number, readonly Hidden[]>;
  /** The loss's gradients at the outputs of the last of these blocks, in the end at the inputs of the first one. */
  upstream: readonly Float32Array[];
}

/** What a text leaves on its way through the blocks of a model. */
export interface Recorded {
  /** By block. */
  readonly inputs: Map<number, readonly Hidden[]>;
  /** Of the last block. */
  readonly outputs: readonly Hidden[];
}

/** Passes blocks `from` and later, and keeps what enters each: (layers − from) × tokens × hidden floats. */
export async function recordInputs(
  forward: Forward,
  layers: number,
  hidden: readonly Hidden[],
  weightsOf: WeightsOf,
  from = 0,
): Promise<Recorded> {
  const inputs = new Map<number, readonly Hidden[]>();
  let outputs = hidden;
  for (let block = from; block < layers; block++) {
    inputs.set(block, outputs);
    outputs = await forward.blockAll(block, outputs, await weightsOf(block));
  }
  return { inputs, outputs };
}

/**
 * The one way back through models: block by block from the last one that is left to block `to`, all models side by side.
 * The inputs of blocks that are passed are dropped.
 * @param pass takes one batch backwards through one block
 * @param visit called behind a block with what `pass` gave, by model and batch
 */
export async function walkBackward<P extends Passed>(
  states: readonly BackwardState[],
  to: number,
  pass: (pass: BackwardPass) => Promise<P>,
  visit: (block: number, passed: readonly (readonly P[])[]) => Promise<void>,
): Promise<void> {
  const last = Math.max(...states.flatMap(({ inputs }) => [...inputs.keys()]));
  for (let block = last; block >= to; block--) {
    const passed: P[][] = [];
    for (const state of states) passed.push(await passBlock(state, block, pass));
    await visit(block, passed);
  }
}

/** A function of its own, so that no weights of one block are still in memory at the next. */
async function passBlock<P extends Passed>(
  state: BackwardState,
  block: number,
  pass: (pass: BackwardPass) => Promise<P>,
): Promise<P[]> {
  const weights = await state.weightsOf(block);
  const passed: P[] = [];
  for (const [index, hidden] of required(state.inputs, block).entries())
    passed.push(await pass({ block, hidden, upstream: required(state.upstream, index), weights }));
  state.inputs.delete(block);
  state.upstream = passed.map(({ entrance }) => entrance);
  return passed;
}
