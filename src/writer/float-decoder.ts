import type { Architecture, TensorSpec } from '../architecture/architecture.js';
import { TersorError } from '../errors.js';
import { ggufGrids } from '../grid/index.js';
import { encodeOnnx, type OnnxValue } from '../runtime/onnx.js';
import { exportGraph } from './onnx-graph.js';

/** Protocol buffers end here. */
const largestModel = 2 ** 31 - 1;

/** An ONNX model in memory, and what it takes in. */
export interface FloatDecoder {
  readonly bytes: Uint8Array;
  readonly inputs: readonly OnnxValue[];
}

/**
 * The decoder of an architecture as tersor writes it into ONNX folders, over weights in memory: for models whose weights
 * no runtime reads as they are stored.
 * @throws TersorError when it gets larger than an ONNX file can be
 */
export function floatDecoder(
  architecture: Architecture,
  weights: (spec: TensorSpec) => Float32Array,
): FloatDecoder {
  const { tensors } = architecture;
  const nameOf = ({ names }: TensorSpec) => names.gguf;
  const stored = tensors.reduce((sum, spec) => sum + weights(spec).byteLength, 0);
  if (stored > largestModel)
    throw new TersorError(`its weights take ${stored} bytes when they are unpacked, more than run at once`, {
      code: 'no-memory',
      remedy: 'compress it to a .gguf',
    });
  const { graph } = exportGraph(
    architecture,
    tensors.map((spec) => ({ name: nameOf(spec), spec, grid: ggufGrids.f32 })),
  );
  const constants = tensors.map((spec) => {
    const { buffer, byteOffset, byteLength } = weights(spec);
    const data = new Uint8Array(buffer, byteOffset, byteLength);
    return { name: nameOf(spec), type: 'f32' as const, shape: spec.shape, data };
  });
  const bytes = encodeOnnx({ ...graph, constants: [...(graph.constants ?? []), ...constants] });
  return { bytes, inputs: graph.inputs };
}
