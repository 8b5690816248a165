import type { OnnxNode } from './onnx.js';
import { createSession, type Dense, type Session } from './session.js';

export interface GemmOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Scales the product; 1 by default. */
  readonly alpha?: number;
  /** Added to the product. */
  readonly add?: Dense;
  /** Receives the result in place of a fresh allocation. */
  readonly into?: Float32Array;
}

/** Dense products of the solvers; every large matrix product outside a graph goes through here. */
export interface Gemm {
  /** op(A)·op(B)·alpha + add, for matrices given as row-major data with their shape [rows, cols]. */
  (a: Dense, b: Dense, options?: GemmOptions): Promise<Float32Array>;
  release(): Promise<void>;
}

/** A matrix product on onnxruntime. Sessions are made on first use, one per combination of flags. */
export function createGemm(options: { readonly threads?: number } = {}): Gemm {
  const sessions = new Map<string, Promise<Session>>();

  const gemm = async (a: Dense, b: Dense, flags: GemmOptions = {}): Promise<Float32Array> => {
    const { transposeA = false, transposeB = false, alpha = 1, add, into } = flags;
    const key = `${transposeA} ${transposeB} ${alpha} ${add !== undefined}`;
    let session = sessions.get(key);
    if (!session) {
      const node: OnnxNode = {
        op: 'Gemm',
        inputs: add ? ['a', 'b', 'c'] : ['a', 'b'],
        outputs: ['y'],
        attributes: { transA: Number(transposeA), transB: Number(transposeB), alpha: { float: alpha } },
      };
      const matrix = (name: string) => ({ name, type: 'f32' as const, shape: [`${name}0`, `${name}1`] });
      session = createSession(
        { nodes: [node], inputs: node.inputs.map(matrix), outputs: [matrix('y')] },
        options,
      );
      sessions.set(key, session);
    }
    const shape = [a.shape[transposeA ? 1 : 0] ?? 0, b.shape[transposeB ? 0 : 1] ?? 0];
    const inputs: Record<string, Dense> = add ? { a, b, c: add } : { a, b };
    const { y } = await (await session).run(inputs, into ? { y: { data: into, shape } } : {});
    return (into ?? y?.data) as Float32Array;
  };

  const release = async () => {
    for (const session of sessions.values()) await (await session).release();
    sessions.clear();
  };
  return Object.assign(gemm, { release });
}
