import { type Column, formatBytes, formatCount, formatPercent, table } from './format.js';

/** One row of the final table; the error is absent in plans and inspections. */
export interface TensorRow {
  readonly name: string;
  readonly type: string;
  /** Absent where nothing can be stored yet. */
  readonly bytes?: number;
  readonly relativeError?: number;
  /** What became of a wish that could not be met. */
  readonly note?: string;
}

interface Group {
  readonly name: string;
  readonly type: string;
  count: number;
  bytes: number;
  readonly errors: number[];
  readonly note: string | undefined;
}

/**
 * A table of tensors. Layers that differ only in their number and share a type are one row, with the mean and
 * the worst of their errors, because nobody reads hundreds of rows; `all` prints each of them.
 */
export function tensorTable(rows: readonly TensorRow[], options: { readonly all?: boolean } = {}): string {
  const groups = group(rows, options.all ?? false);
  const measured = rows.some(({ relativeError }) => relativeError !== undefined);
  const several = groups.some(({ count }) => count > 1);
  const noted = groups.some(({ note }) => note);
  const columns: Column[] = [
    { title: 'tensor', flexible: true },
    ...(several ? [{ title: '×', align: 'right' as const }] : []),
    { title: 'type' },
    { title: 'bytes', align: 'right' },
    ...(measured ? [{ title: 'relative error', align: 'right' as const }] : []),
    ...(measured && several ? [{ title: 'worst', align: 'right' as const }] : []),
    ...(noted ? [{ title: '' }] : []),
  ];
  return table(
    columns,
    groups.map(({ name, count, type, bytes, errors, note }) => [
      name,
      ...(several ? [String(count)] : []),
      type,
      bytes > 0 ? formatCount(bytes) : '',
      ...(measured ? [formatError(mean(errors))] : []),
      ...(measured && several ? [count > 1 ? formatError(Math.max(...errors)) : ''] : []),
      ...(noted ? [note ?? ''] : []),
    ]),
  );
}

/** Names of tensors, those that differ only in the number of their block as one: `blk.0-3,5.attn_q.weight`. */
export function collapseNames(names: readonly string[]): string[] {
  const blocks = new Map<string, number[]>();
  for (const name of names) {
    const number = /(?<=\.)\d+(?=\.)/.exec(name)?.[0];
    const pattern = number === undefined ? name : name.replace(`.${number}.`, '.*.');
    blocks.set(pattern, [...(blocks.get(pattern) ?? []), Number(number)]);
  }
  return [...blocks].map(([pattern, numbers]) => pattern.replace('*', ranges(numbers)));
}

/** 0-3,5 */
function ranges(numbers: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run && number === run[1] + 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/** How many bytes each type takes, largest first. */
export function typeTable(rows: readonly TensorRow[]): string {
  const totals = new Map<string, { count: number; bytes: number }>();
  for (const { type, bytes = 0 } of rows) {
    const total = totals.get(type) ?? { count: 0, bytes: 0 };
    totals.set(type, { count: total.count + 1, bytes: total.bytes + bytes });
  }
  return table(
    [{ title: 'type' }, { title: 'tensors', align: 'right' }, { title: 'size', align: 'right' }],
    [...totals]
      .sort(([, a], [, b]) => b.bytes - a.bytes)
      .map(([type, { count, bytes }]) => [type, String(count), formatBytes(bytes)]),
  );
}

/** Groups in the order of the tensors, those that differ only in their type or note next to each other. */
function group(rows: readonly TensorRow[], all: boolean): Group[] {
  const groups = new Map<string, Map<string, Group & { readonly names: string[] }>>();
  for (const { name, type, bytes = 0, relativeError, note } of rows) {
    const pattern = all ? name : name.replace(/\.\d+(?=\.)/g, '.*');
    const alike = groups.get(pattern) ?? new Map();
    groups.set(pattern, alike);
    const key = `${type} ${note}`;
    const found = alike.get(key) ?? { name: pattern, type, count: 0, bytes: 0, errors: [], note, names: [] };
    found.count++;
    found.bytes += bytes;
    found.names.push(name);
    if (relativeError !== undefined) found.errors.push(relativeError);
    alike.set(key, found);
  }
  return [...groups.values()].flatMap((alike) =>
    [...alike.values()].map(({ names, ...found }) =>
      // Where some of a kind are different, it is said which.
      alike.size > 1 ? { ...found, name: collapseNames(names).join(' ') } : found,
    ),
  );
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** A relative error; zero means that the values are exactly the original ones. */
function formatError(error: number): string {
  if (Number.isNaN(error)) return '';
  return error === 0 ? 'exact' : formatPercent(error);
}
