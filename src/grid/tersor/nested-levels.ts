/** Bits of a code that are stored, or kept when it is read at a lower precision. */
export type NestedBits = 8 | 6 | 4 | 2;

export const nestedBits: readonly NestedBits[] = [8, 6, 4, 2];

/**
 * At high rates a code loses least when its cells are as dense as the cube root of the probability (Panter and Dite,
 * 1951); that of a normal variable is again normal, this much wider. Good at two bits, too.
 */
const spread = Math.sqrt(3);
/** Tables are rounded to multiples of this, so that no engine's exponential function shows in a file. */
const resolution = 2 ** -12;

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** The probability that a normal variable is below x (Abramowitz and Stegun, 7.1.26; error below 1e-7). */
function below(x: number): number {
  const t = 1 / (1 + (0.3275911 * Math.abs(x)) / Math.SQRT2);
  const series = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const tail = series.reduce((sum, coefficient) => (sum + coefficient) * t, 0) * Math.exp((-x * x) / 2);
  return x < 0 ? tail / 2 : 1 - tail / 2;
}

function quantile(probability: number): number {
  let [low, high] = [-9, 9];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (below(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Ends of the 256 cells of a code. */
const ends = Array.from({ length: 257 }, (_, i) => spread * quantile(i / 256));

interface Cell {
  readonly probability: number;
  readonly mean: number;
}

/** The cells of codes of which the highest bits are left, of a standard normal variable. */
function cells(bits: NestedBits): readonly Cell[] {
  const size = 2 ** (8 - bits);
  return Array.from({ length: 2 ** bits }, (_, code) => {
    const [from = 0, to = 0] = [ends[code * size], ends[(code + 1) * size]];
    const probability = below(to) - below(from);
    return { probability, mean: (density(from) - density(to)) / probability };
  });
}

/** What codes of so many bits stand for, in units of the scale: the means of their cells, ascending. */
export function nestedLevels(bits: NestedBits): Float32Array {
  const positive = cells(bits)
    .slice(2 ** (bits - 1))
    .map(({ mean }) => Math.round(mean / resolution) * resolution);
  return Float32Array.from([...positive.map((mean) => -mean).reverse(), ...positive]);
}

/** The mean squared error on a standard normal variable. */
export const nestedDistortion = (bits: NestedBits): number =>
  cells(bits).reduce((left, { probability, mean }) => left - probability * mean ** 2, 1);
