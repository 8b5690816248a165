import { decodeCells, type VectorStage } from '../../grid/vector/format.js';
import { gramOf } from '../small-matrix.js';
import { type PlacedCell, roundToHalves, type VectorLayer } from './layer.js';
import { measure, multiply, type Residual } from './residual.js';
import { addCell, clear, entrySums, offsetOf, solveEntries } from './sums.js';
import { sweepSpace, takeBest } from './sweep.js';

/** Vectors per entry that a codebook is started from; more change it little. */
const samplesPerEntry = 256;
/** Steps of conjugate gradients between two rounds of codes; what they leave is for the next round. */
const gradientSteps = 8;

/**
 * Starts the codebooks by k-means, every vector in the metric of error feedback: Lloyd's iteration
 * on Σ |(w − r·c)·F|² with r the scale of the row, from vectors drawn evenly; entries that no vector takes are drawn
 * anew. The residual codebook is started likewise on what the first leaves.
 * @param seed which vectors are drawn
 */
export async function startCodebooks(layer: VectorLayer, iterations: number, seed: number): Promise<void> {
  const { context, weight, vectors, dimension: d, codebooks } = layer;
  await context.kernels.scope(async (arena) => {
    const space = sweepSpace(arena, { weight, cells: vectors }, d);
    const sums = entrySums({ ...layer, context: { ...context, arena } });
    const x = arena.f64(codebooks.length);
    const rest = arena.f32(weight.data.length);
    rest.set(weight.data);
    /** Codes a vector; its error is in `space.deltas`. */
    const assign = (cell: PlacedCell, stage: number) => {
      space.sums.fill(0);
      space.deltas.fill(0);
      const metric = cell.feedback;
      takeBest(layer, space, { cell, stage, base: rest, metric, local: 0, width: d, reach: 0 });
    };
    let drawn = seed * codebooks.length;
    const draw = (cells: readonly PlacedCell[], entries: Float32Array, entry: number) => {
      const [x, y] = spread(drawn++);
      const cell = cells[Math.floor(x * cells.length)];
      const row = Math.floor(y * weight.rows);
      for (let i = 0; i < d; i++) {
        const target = rest[((cell?.at ?? 0) + i) * weight.stride + row] ?? 0;
        entries[entry * d + i] = target / (layer.scale[row] ?? 1);
      }
    };

    const stages = vectors[0]?.stages.length ?? 0;
    for (let stage = 0; stage < stages; stage++) {
      const books = booksOf(vectors, stage).map((book) => ({ ...book, cells: sample(book, weight.rows) }));
      for (const { entries, size, cells } of books)
        for (let entry = 0; entry < size; entry++) draw(cells, entries, entry);
      for (let iteration = 0; iteration < iterations; iteration++) {
        clear(sums);
        for (const cell of books.flatMap((book) => book.cells)) {
          assign(cell, stage);
          const metric = gramOf(cell.feedback.factor, d);
          addCell(layer, sums, stageOf(cell, stage), space.deltas, { product: metric, curvature: metric });
        }
        solveEntries(layer, sums, x, false);
        for (const { entries, size, cells } of books) {
          const from = offsetOf(layer, entries);
          for (let i = 0; i < size * d; i++) entries[i] = (entries[i] ?? 0) + (x[from + i] ?? 0);
          for (let entry = 0; entry < size; entry++)
            if (!sums.curvature[(from + entry * d) * d]) draw(cells, entries, entry);
        }
      }
      if (stage + 1 === stages) break;
      for (const cell of vectors) {
        assign(cell, stage);
        rest.set(space.deltas.subarray(0, d * weight.stride), cell.at * weight.stride);
      }
    }
  });
}

/**
 * Moves the entries to where they make tr(Δ H Δᵀ) least while every code stays: the normal equations by conjugate
 * gradients, preconditioned by the square of every entry by itself, then rounded to halves. A step of them is one
 * product of the layer's size. The entries stay as they are if that does not lower the loss.
 * @param before the residual as it is now; overwritten
 */
export async function fitCodebooks(layer: VectorLayer, before: Residual): Promise<Residual> {
  const { context, codebooks, vectors } = layer;
  const { kernels } = context;
  const old = codebooks.slice();
  const { loss } = before;
  await kernels.scope(async (arena) => {
    const sums = entrySums({ ...layer, context: { ...context, arena } });
    const direction = arena.f32(codebooks.length);
    const solved = arena.f64(codebooks.length);
    const along = vectors.map((cell) => ({
      ...cell,
      stages: cell.stages.map((stage) => ({ ...stage, entries: viewOf(layer, direction, stage) })),
    }));
    /** Σ scale · panel by entry. */
    const gather = (panel: Float32Array, curvature: boolean) => {
      clear(sums, curvature);
      for (const cell of vectors)
        for (const stage of cell.stages) {
          const from = panel.subarray(cell.at * layer.weight.stride);
          addCell(
            layer,
            sums,
            stage,
            from,
            curvature ? { curvature: gramOf(cell.descent.factor, layer.dimension) } : {},
          );
        }
      return Float64Array.from(sums.gradient);
    };
    const precondition = (r: Float64Array, factored: boolean) => {
      sums.gradient.set(r);
      solveEntries(layer, sums, solved, factored);
      return solved;
    };

    const r = gather(before.gradient, true);
    let z = precondition(r, false);
    let rz = dot(r, z);
    const p = Float64Array.from(z);
    const change = new Float64Array(p.length);
    for (let step = 0; step < gradientSteps && rz > 0; step++) {
      direction.set(p);
      decodeCells(kernels, along, layer.scale, before.values);
      await multiply(layer, before.values, before.gradient);
      const q = gather(before.gradient, false);
      const length = rz / dot(p, q);
      if (!Number.isFinite(length)) break;
      addTo(change, length, p);
      addTo(r, -length, q);
      z = precondition(r, true);
      const next = dot(r, z);
      for (const [i, value] of z.entries()) p[i] = value + (next / rz) * (p[i] ?? 0);
      rz = next;
    }
    for (const [i, value] of change.entries()) codebooks[i] = (codebooks[i] ?? 0) + value;
    await roundToHalves(kernels, codebooks);
  });
  const after = await measure(layer, before);
  if (after.loss <= loss) return after;
  codebooks.set(old);
  return measure(layer, before);
}

interface Book {
  readonly size: number;
  readonly entries: Float32Array;
  readonly cells: readonly PlacedCell[];
}

/** The codebooks of a stage with the vectors that share them. */
function booksOf(vectors: readonly PlacedCell[], stage: number): Book[] {
  const books = new Map<number, PlacedCell[]>();
  for (const cell of vectors) {
    const { byteOffset } = stageOf(cell, stage).entries;
    const sharing = books.get(byteOffset);
    if (sharing) sharing.push(cell);
    else books.set(byteOffset, [cell]);
  }
  return [...books.values()].map((cells) => ({ ...stageOf(cells[0], stage), cells }));
}

function stageOf(cell: PlacedCell | undefined, stage: number): VectorStage {
  const found = cell?.stages[stage];
  if (!found) throw new Error(`a vector without stage ${stage}`);
  return found;
}

/** Enough cells, evenly spread over the positions. */
function sample({ size, cells }: Book, rows: number): PlacedCell[] {
  const step = Math.max(1, Math.floor((cells.length * rows) / (samplesPerEntry * size)));
  return cells.filter((_, index) => index % step === 0);
}

/** Point n of a sequence that fills the unit square evenly (Roberts' R2: powers of the inverse plastic number). */
const spread = (n: number) =>
  [(0.5 + n * 0.7548776662466927) % 1, (0.5 + n * 0.5698402909980532) % 1] as const;

/** The piece of an array shaped like the codebooks that belongs to a stage. */
function viewOf(layer: VectorLayer, array: Float32Array, { entries }: VectorStage): Float32Array {
  const from = offsetOf(layer, entries);
  return array.subarray(from, from + entries.length);
}

const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);

function addTo(x: Float64Array, factor: number, y: Float64Array): void {
  for (const [i, value] of y.entries()) x[i] = (x[i] ?? 0) + factor * value;
}
