import { encodeOnnx, type OnnxGraph } from './onnx.js';
import { InferenceSession, Tensor } from './onnxruntime.js';

export interface RuntimeOptions {
  /** Threads inside one operator; results do not depend on it. */
  readonly threads?: number;
}

/** An array with its shape, as it enters and leaves a session. */
export interface Dense {
  readonly data: Float32Array | BigInt64Array | Int32Array;
  readonly shape: readonly number[];
}

/** A compiled program. Outputs named in `into` are written in place of fresh allocations. */
export interface Session {
  run(inputs: Record<string, Dense>, into?: Record<string, Dense>): Promise<Record<string, Dense>>;
  release(): Promise<void>;
}

/** Compiles a graph for onnxruntime on this machine's processors. */
export async function createSession(graph: OnnxGraph, options: RuntimeOptions = {}): Promise<Session> {
  const session = await InferenceSession.create(encodeOnnx(graph), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    // The arena keeps a batch's intermediate arrays for the next: without it, page faults halve the speed of a
    // transformer block (bench/forward.ts). Shapes are fixed per session, so it does not grow.
    enableCpuMemArena: true,
    enableMemPattern: false,
    ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
    // Idle threads sleep instead of spinning: beside any other work on the machine a run takes half the time and
    // half the processor time.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    logSeverityLevel: 3,
  });
  return {
    async run(inputs, into = {}) {
      const feeds = mapValues(inputs, toTensor);
      const fetches = Object.fromEntries(
        session.outputNames.map((name) => [
          name,
          into[name] && !isShared(into[name]) ? toTensor(into[name]) : null,
        ]),
      );
      const results = await session.run(feeds, fetches);
      for (const [name, { data }] of Object.entries(into)) {
        if (isShared(into[name])) data.set(results[name]?.data as never);
      }
      return mapValues(results, (tensor) => ({ data: tensor.data as Float32Array, shape: tensor.dims }));
    },
    release: () => session.release(),
  };
}

// onnxruntime's Node binding refuses memory shared between threads (the kernels'), so that is copied in and out.
const isShared = (value: Dense | undefined) => value?.data.buffer instanceof SharedArrayBuffer;

const elementNames = { Float32Array: 'float32', BigInt64Array: 'int64', Int32Array: 'int32' } as const;

function toTensor(value: Dense): Tensor {
  const type = elementNames[value.data.constructor.name as keyof typeof elementNames];
  return new Tensor(type, isShared(value) ? value.data.slice() : value.data, value.shape);
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, f: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]));
}
