import { required } from '../required.js';

/** Arrays of one number per position, by name (`statistics` of ./score.ts). */
type Statistics = Readonly<Record<string, Float32Array>>;

/**
 * Next-token distributions at some positions, put together from parts of the vocabulary, so that no head and no logits
 * have to be held as a whole. With the largest logit m and S = Σ e^(p − m) of the tokens so far, log Σ e^p = m + log S;
 * and for another model's logits q
 *
 *   KL(p ‖ q) = Σ e^(p − m) (p − q) / S − (log Σ e^p − log Σ e^q).
 * @param labels the next token at every position
 */
export function distributions(labels: readonly number[]) {
  const count = labels.length;
  const numbers = (value: number) => new Float64Array(count).fill(value);
  const create = () => ({
    most: numbers(Number.NEGATIVE_INFINITY),
    sum: numbers(0),
    top: numbers(-1),
    label: numbers(Number.NEGATIVE_INFINITY),
  });
  const [model, reference] = [create(), create()];
  const weighted = numbers(0);
  const highest = numbers(Number.NEGATIVE_INFINITY);
  const lowest = numbers(Number.POSITIVE_INFINITY);

  /** @returns by what the sums so far, and those of the part, are multiplied */
  const merge = (into: typeof model, row: number, most: number, sum: number, top: number) => {
    const before = into.most[row] ?? 0;
    const now = Math.max(before, most);
    const [old, fresh] = [Math.exp(before - now), Math.exp(most - now)];
    if (most > before) into.top[row] = top;
    into.most[row] = now;
    into.sum[row] = (into.sum[row] ?? 0) * old + sum * fresh;
    return { old, fresh };
  };
  const total = ({ most, sum }: typeof model, row: number) => (most[row] ?? 0) + Math.log(sum[row] ?? 0);
  const losses = (of: typeof model) =>
    Float32Array.from(labels, (_, row) => total(of, row) - (of.label[row] ?? 0));

  return {
    /** @param from first token of the part, whose logits these are: positions × tokens */
    add(
      from: number,
      logits: { readonly logits: Float32Array; readonly reference?: Float32Array | undefined },
      statistics: Statistics,
    ): void {
      const column = (name: string) => required(statistics, name);
      const tokens = logits.logits.length / count;
      const [most, sum, top] = [column('most'), column('sum'), column('top')];
      for (const [row, label] of labels.entries()) {
        merge(model, row, most[row] ?? Number.NaN, sum[row] ?? Number.NaN, from + (top[row] ?? Number.NaN));
        const at = label - from;
        if (at < 0 || at >= tokens) continue;
        model.label[row] = logits.logits[row * tokens + at] ?? Number.NaN;
        reference.label[row] = logits.reference?.[row * tokens + at] ?? Number.NaN;
      }
      if (!logits.reference) return;
      const [mosts, sums, tops] = [column('referenceMost'), column('referenceSum'), column('referenceTop')];
      const [parts, high, low] = [column('weighted'), column('highest'), column('lowest')];
      for (let row = 0; row < count; row++) {
        const { old, fresh } = merge(
          reference,
          row,
          mosts[row] ?? Number.NaN,
          sums[row] ?? Number.NaN,
          from + (tops[row] ?? Number.NaN),
        );
        weighted[row] = (weighted[row] ?? 0) * old + (parts[row] ?? Number.NaN) * fresh;
        highest[row] = Math.max(highest[row] ?? 0, high[row] ?? Number.NaN);
        lowest[row] = Math.min(lowest[row] ?? 0, low[row] ?? Number.NaN);
      }
    },
    /** −log p(next token) */
    loss: () => losses(model),
    /** Against the reference. */
    compared() {
      const shift = (row: number) => total(reference, row) - total(model, row);
      return {
        loss: losses(reference),
        divergence: Float32Array.from(
          labels,
          (_, row) => (weighted[row] ?? 0) / (reference.sum[row] ?? 0) - shift(row),
        ),
        sameTop: Float32Array.from(labels, (_, row) => Number(model.top[row] === reference.top[row])),
        largestShift: Float32Array.from(labels, (_, row) =>
          Math.max(Math.abs((highest[row] ?? 0) - shift(row)), Math.abs((lowest[row] ?? 0) - shift(row))),
        ),
      };
    },
  };
}
