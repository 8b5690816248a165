import { programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Moments } from '../types.js';

// The remainder after this many steps lies in directions that the inputs hardly excite, where the moments of a
// finite text are noise: stopping early is the regularisation.
const mostSteps = 16;
// A row has arrived when a step lowers its loss by less than this share of what all steps did.
const leastGain = 0.03;
// Added to H̃ in units of its diagonal's mean: pulls the target towards W where there are no inputs.
const damping = 0.01;

const slabElements = 1 << 20;
// Rows that onnxruntime's product takes together at most: parts of so many rows give what the whole would.
const rowQuantum = 16;

/** Makes targets for layers behind compressed ones; programs are shared by layers of a shape. */
export interface Targets {
  /**
   * The weight whose outputs from the inputs that the compressed model gives are nearest to those of `weight` from the
   * original's: argmin E‖W x − V x̃‖² = W C H̃⁻¹, so that a solver for the symmetric loss finds the codes for
   * the asymmetric one.
   * @param moments of x̃ (`gram` is H̃) with `crossMoments` C − H̃, C = E[x x̃ᵀ]
   */
  of(weight: Matrix, moments: Moments): Promise<Matrix>;
  release(): Promise<void>;
}

/**
 * Conjugate gradients (Hestenes and Stiefel, 1952) on all rows at once, preconditioned by the diagonal and
 * started from W: each step is one matrix product and lowers the loss of every row.
 */
export function createTargets(options: RuntimeOptions = {}): Targets {
  const cache = programCache(options);
  return {
    async of({ rows, cols, data }, { gram, crossMoments }) {
      if (!crossMoments)
        throw new Error('outputs of the original are matched with moments of both models only');
      const inverse = new Float32Array(cols);
      let meanDiagonal = 0;
      for (let i = 0; i < cols; i++) meanDiagonal += (gram.data[i * cols + i] ?? 0) / cols;
      const ridge = damping * (meanDiagonal || 1);
      for (let i = 0; i < cols; i++) inverse[i] = 1 / ((gram.data[i * cols + i] ?? 0) + ridge);

      // Rows do not depend on each other: a part at a time keeps onnxruntime's work space small.
      const height = Math.ceil(Math.max(1, slabElements / cols) / rowQuantum) * rowQuantum;
      const result = rows > height ? new Float32Array(data.length) : undefined;
      const room = [0, 1].map(() => stateFor(Math.min(rows, height), cols));
      for (let from = 0; from < rows; from += height) {
        const count = Math.min(height, rows - from);
        const start = await cache.get(`start ${count} ${cols}`, () => begin(count, cols));
        const step = await cache.get(`step ${count} ${cols}`, () => advance(count, cols));
        const system = { h: gram.data, inverse, ridge: Float32Array.of(ridge) };
        const part = data.subarray(from * cols, (from + count) * cols);
        // Steps take turns in two sets of arrays.
        const [even, odd] = room.map((state) => firstRows(state, count, cols)) as [State, State];
        await start.run({ ...system, d: crossMoments.data, x: part }, even);
        even.gained.fill(0);
        even.active.fill(1);
        let current = even;
        for (let at = 0; at < mostSteps && current.active.some((row) => row > 0); at++) {
          const next = current === even ? odd : even;
          await step.run({ ...system, ...current }, next);
          current = next;
        }
        const { x } = current;
        if (!result) return { rows, cols, data: x };
        result.set(x, from * cols);
      }
      return { rows, cols, data: result ?? data };
    },
    release: cache.release,
  };
}

/** What a step takes over from the one before. */
type State = Record<'x' | 'r' | 'p' | 'rz' | 'gained' | 'active', Float32Array>;

const stateFor = (rows: number, cols: number): State => ({
  x: new Float32Array(rows * cols),
  r: new Float32Array(rows * cols),
  p: new Float32Array(rows * cols),
  rz: new Float32Array(rows),
  gained: new Float32Array(rows),
  active: new Float32Array(rows),
});

const firstRows = ({ x, r, p, ...perRow }: State, rows: number, cols: number): State => ({
  x: x.subarray(0, rows * cols),
  r: r.subarray(0, rows * cols),
  p: p.subarray(0, rows * cols),
  rz: perRow.rz.subarray(0, rows),
  gained: perRow.gained.subarray(0, rows),
  active: perRow.active.subarray(0, rows),
});

// A row whose residual is zero has arrived: with this, its next step is zero instead of 0 / 0.
const tiny = g.scalar(1e-30);

/** x = W, residual r = W (C − H̃), first direction p. */
function begin(rows: number, cols: number) {
  const x = g.input('x', [rows, cols]);
  const r = g.matmul(x, g.input('d', [cols, cols]));
  const p = g.mul(r, g.input('inverse', [cols]));
  return { x, r, p, rz: g.sum(g.mul(r, p), -1) };
}

/** 1 for each row whose number is more than another's, and 0 elsewhere; [rows, 1] both. */
const isMore = (a: Value, b: Value): Value => g.toFloat(g.equal(g.max(g.concat([a, b], -1), -1), a));

function advance(rows: number, cols: number) {
  const matrix = (name: string) => g.input(name, [rows, cols]);
  const column = (name: string) => g.input(name, [rows, 1]);
  const [x, r, p, rz] = [matrix('x'), matrix('r'), matrix('p'), column('rz')];
  const [gained, active] = [column('gained'), column('active')];
  const product = g.add(g.matmul(p, g.input('h', [cols, cols])), g.mul(p, g.input('ridge', [1])));
  const length = g.mul(active, g.div(rz, g.add(g.sum(g.mul(p, product), -1), tiny)));
  // Twice the loss that the step takes away.
  const gain = g.mul(length, rz);
  const all = g.add(gained, gain);
  const residual = g.sub(r, g.mul(product, length));
  const z = g.mul(residual, g.input('inverse', [cols]));
  const next = g.sum(g.mul(residual, z), -1);
  return {
    x: g.add(x, g.mul(p, length)),
    r: residual,
    p: g.add(z, g.mul(p, g.div(next, g.add(rz, tiny)))),
    rz: next,
    gained: all,
    active: g.mul(active, isMore(gain, g.add(g.mul(all, g.scalar(leastGain)), tiny))),
  };
}
