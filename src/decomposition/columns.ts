import { columnCodes, columnSteps } from '../grid/tersor/refinement.js';

/**
 * How far steps follow the energies of columns. At high rates steps in inverse proportion to the root (1) leave the least
 * loss, as every column then has the same share of it; at two bits, where coordinate descent does much of the work, less
 * is better (stories15M: 1/2 to 3/4).
 */
const compliance = 0.75;

/**
 * Factors on the steps of columns, as codes, for what an error in each costs when others make up for it. Their geometric
 * mean is 1, so that they cost no bits besides their own; where those are more than what is won, there are none.
 * @param energies in the manner of L_jj² of the factor of H
 * @param rows that share them
 */
export function columnFactors(energies: Float32Array, rows: number): Int8Array | undefined {
  const logarithms = Array.from(energies, (energy) => -0.5 * compliance * Math.log2(Math.max(energy, 1e-12)));
  const middle = logarithms.reduce((sum, value) => sum + value, 0) / logarithms.length;
  const codes = columnCodes(logarithms.map((value) => 2 ** (value - middle)));
  const factors = columnSteps(1, codes.length, codes);
  const sum = (weight: (col: number) => number) =>
    energies.reduce((total, energy, col) => total + energy * weight(col), 0);
  const bitsWon = 0.5 * Math.log2(sum(() => 1) / sum((col) => (factors[col] ?? 1) ** 2));
  return bitsWon > 8 / rows ? codes : undefined;
}
