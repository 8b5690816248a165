/** Functions of one value, safe for all: where mathematics has no value they continue smoothly or give 0. */
const unary = {
  log: (x: number) => Math.log(Math.abs(x) + 1e-30),
  sqrt: (x: number) => Math.sqrt(Math.abs(x)),
  square: (x: number) => x * x,
  abs: Math.abs,
  neg: (x: number) => -x,
  inverse: (x: number) => (x === 0 ? 0 : 1 / x),
} as const;

const binary = {
  '+': (x: number, y: number) => x + y,
  '-': (x: number, y: number) => x - y,
  '*': (x: number, y: number) => x * y,
  '/': (x: number, y: number) => (y === 0 ? 0 : x / y),
  max: Math.max,
  min: Math.min,
} as const;

export type Unary = keyof typeof unary;
export type Binary = keyof typeof binary;

export const unaryNames = Object.keys(unary) as Unary[];
export const binaryNames = Object.keys(binary) as Binary[];

/** A formula over named columns: plain JSON. */
export type Expression =
  | { readonly column: string }
  | { readonly constant: number }
  | { readonly unary: Unary; readonly of: Expression }
  | { readonly binary: Binary; readonly left: Expression; readonly right: Expression };

/** Named columns of numbers, all of one length: one row per tensor and level. */
export type Columns = Readonly<Record<string, readonly number[]>>;

/** The formula's value in every row; a column that does not exist counts as NaN. */
export function evaluate(expression: Expression, columns: Columns, rows: number): number[] {
  if ('column' in expression) {
    const values = columns[expression.column];
    return Array.from({ length: rows }, (_, row) => values?.[row] ?? Number.NaN);
  }
  if ('constant' in expression) return Array<number>(rows).fill(expression.constant);
  if ('unary' in expression) return evaluate(expression.of, columns, rows).map(unary[expression.unary]);
  const apply = binary[expression.binary];
  const right = evaluate(expression.right, columns, rows);
  return evaluate(expression.left, columns, rows).map((x, row) => apply(x, right[row] ?? Number.NaN));
}

/** The formula as people write it. */
export function formula(expression: Expression): string {
  if ('column' in expression) return expression.column;
  if ('constant' in expression) return String(expression.constant);
  if ('unary' in expression) return `${expression.unary}(${formula(expression.of)})`;
  const [left, right] = [formula(expression.left), formula(expression.right)];
  const named = expression.binary === 'max' || expression.binary === 'min';
  return named ? `${expression.binary}(${left}, ${right})` : `(${left} ${expression.binary} ${right})`;
}

/** Columns, constants and functions of the formula. */
export function sizeOf(expression: Expression): number {
  if ('unary' in expression) return 1 + sizeOf(expression.of);
  if ('binary' in expression) return 1 + sizeOf(expression.left) + sizeOf(expression.right);
  return 1;
}

/** The part at this place, counted as `sizeOf` does, the whole being 0. */
export function partAt(expression: Expression, place: number): Expression {
  if (place === 0) return expression;
  if ('unary' in expression) return partAt(expression.of, place - 1);
  if (!('binary' in expression)) return expression;
  const left = sizeOf(expression.left);
  return place <= left ? partAt(expression.left, place - 1) : partAt(expression.right, place - 1 - left);
}

/** The formula with another part at this place. */
export function replaceAt(expression: Expression, place: number, part: Expression): Expression {
  if (place === 0) return part;
  if ('unary' in expression) return { ...expression, of: replaceAt(expression.of, place - 1, part) };
  if (!('binary' in expression)) return expression;
  const left = sizeOf(expression.left);
  return place <= left
    ? { ...expression, left: replaceAt(expression.left, place - 1, part) }
    : { ...expression, right: replaceAt(expression.right, place - 1 - left, part) };
}
