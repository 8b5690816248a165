/** Text for a terminal: numbers, wrapped lines, tables, lists of fields. */
export * from '../numbers.js';

/** Terminals are at least this wide, and longer lines are hard to read anyway. */
const screenWidth = 80;

/** Breaks text between words at so many columns. */
export function wrap(text: string, columns = screenWidth, indent = ''): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent + word;
    } else {
      line = line ? `${line} ${word}` : word;
    }
  }
  return [...lines, line].join('\n');
}

export interface Column {
  readonly title: string;
  /** `point`: numbers with their decimal points one below the other. */
  readonly align?: 'left' | 'right' | 'point';
  /** Long cells go on in further lines where the table would get wider than the screen. */
  readonly flexible?: boolean;
}

/** A table with aligned columns, two spaces between them, without trailing blanks, at most 80 columns wide. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const all = [columns.map(({ title }) => title), ...alignPoints(columns, rows)];
  const natural = columns.map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0)));
  const excess = natural.reduce((sum, width) => sum + width + 2, -2) - screenWidth;
  const widths = natural.map((width, index) =>
    columns[index]?.flexible && excess > 0 ? Math.max(narrowest, width - excess) : width,
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        const { align = 'left' } = columns[index] ?? {};
        return align === 'left' ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd();
  return all
    .flatMap((row) => {
      const cells = row.map((text, index) => fold(text, widths[index] ?? 0));
      const height = Math.max(...cells.map((parts) => parts.length));
      return Array.from({ length: height }, (_, at) => line(cells.map((parts) => parts[at] ?? '')));
    })
    .join('\n');
}

/** The rows with blanks behind the numbers of some columns, so that their points meet where they stand to the right. */
function alignPoints(columns: readonly Column[], rows: readonly (readonly string[])[]): string[][] {
  const fraction = (cell = '') => (cell.includes('.') ? cell.length - cell.indexOf('.') : 0);
  const longest = columns.map((_, index) => Math.max(0, ...rows.map((row) => fraction(row[index]))));
  return rows.map((row) =>
    row.map((cell, index) =>
      columns[index]?.align === 'point' ? cell + ' '.repeat((longest[index] ?? 0) - fraction(cell)) : cell,
    ),
  );
}

/** Of flexible columns; below, names would become columns of letters. */
const narrowest = 16;

/** A text in lines of at most so many columns, cut behind blanks or the dots and dashes of names where there are some. */
function fold(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const indent = '  ';
  const head = text.slice(0, width + 1);
  const blank = head.lastIndexOf(' ');
  const behind = (signs: string) =>
    Math.max(...[...signs].map((sign) => head.lastIndexOf(sign, width - 1) + 1));
  const [dot, sign] = [behind('.'), behind('_-,')];
  const cut = blank > indent.length ? blank : ([dot, sign].find((at) => at > width / 2) ?? width);
  return [text.slice(0, cut).trimEnd(), ...fold(indent + text.slice(cut).trimStart(), width)];
}

/** Name and value per line, values aligned. */
export function fields(entries: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length)) + 2;
  return entries
    .map(
      ([name, value]) =>
        name.padEnd(width) + wrap(value, screenWidth - width).replaceAll('\n', `\n${' '.repeat(width)}`),
    )
    .join('\n');
}
