import type { TensorSpec } from './architecture.js';

type Order = Pick<TensorSpec, 'shape' | 'interleavedHead' | 'fusedHeads'>;

/** Whether GGUF has the rows of a tensor in another order than Hugging Face. */
export const isReordered = ({ interleavedHead, fusedHeads }: Omit<Order, 'shape'>): boolean =>
  interleavedHead !== undefined || fusedHeads !== undefined;

/**
 * Reorders rows between Hugging Face's files and GGUF's: inside each attention head between first halves in front of second
 * halves and pairs side by side; or between queries, keys and values of each head together and each of the three for all
 * heads. Rows move whole, so packed bytes can be permuted like floats.
 * @param data rows of equal length, as many as `spec.shape[0]`
 */
export function permuteRows<T extends Float32Array | Uint8Array>(
  data: T,
  spec: Order,
  direction: 'from-gguf' | 'to-gguf',
): T {
  const [rows = 0] = spec.shape;
  const place = spec.fusedHeads === undefined ? pairs(spec, rows) : parts(spec.fusedHeads, rows);
  const length = data.length / rows;
  const result = data.slice() as T;
  for (let row = 0; row < rows; row++) {
    const [from, to] = direction === 'to-gguf' ? [row, place(row)] : [place(row), row];
    result.set(data.subarray(from * length, (from + 1) * length), to * length);
  }
  return result;
}

type Place = (row: number) => number;

/** Row `within` of a head's halves stands in pair `within mod head/2`. */
function pairs({ interleavedHead }: Order, rows: number): Place {
  const head = interleavedHead ?? rows;
  return (row) => {
    const within = row % head;
    return row - within + 2 * (within % (head / 2)) + Math.floor(within / (head / 2));
  };
}

/** Row i of part p of a head stands in part p of all heads. */
function parts(heads: number, rows: number): Place {
  const size = rows / (3 * heads);
  return (row) => {
    const [head, part] = [Math.floor(row / (3 * size)), Math.floor(row / size) % 3];
    return (part * heads + head) * size + (row % size);
  };
}
