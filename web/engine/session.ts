import { encodeOnnx, type OnnxGraph } from '../../src/runtime/onnx.js';
import type { Dense, RuntimeOptions, Session } from '../../src/runtime/session.js';
import { loadRuntime } from './runtime.js';

export type { Dense, RuntimeOptions, Session };

/** Compiles a small graph for onnxruntime-web, on the processor: in the place of src/runtime/session.ts. */
export async function createSession(graph: OnnxGraph): Promise<Session> {
  const { ort } = await loadRuntime('wasm');
  const session = await ort.InferenceSession.create(encodeOnnx(graph), { executionProviders: ['wasm'] });
  const names = { Float32Array: 'float32', BigInt64Array: 'int64', Int32Array: 'int32' } as const;
  const tensor = ({ data, shape }: Dense) =>
    new ort.Tensor(
      names[data.constructor.name as keyof typeof names],
      data as Float32Array<ArrayBuffer>,
      shape,
    );
  return {
    async run(inputs) {
      const feeds = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, tensor(value)]));
      const results = await session.run(feeds);
      return Object.fromEntries(
        Object.entries(results).map(([name, { data, dims }]) => [
          name,
          { data: data as Float32Array, shape: dims },
        ]),
      );
    },
    release: () => session.release(),
  };
}
