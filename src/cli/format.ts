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
  readonly align?: 'left' | 'right';
  /** Long cells lose their middle where the table would get wider than the screen. */
  readonly flexible?: boolean;
}

/** A table with aligned columns, two spaces between them, without trailing blanks, at most 80 columns wide. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const all = [columns.map(({ title }) => title), ...rows];
  const natural = columns.map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0)));
  const excess = natural.reduce((sum, width) => sum + width + 2, -2) - screenWidth;
  const widths = natural.map((width, index) =>
    columns[index]?.flexible && excess > 0 ? Math.max(8, width - excess) : width,
  );
  return all
    .map((row) =>
      row
        .map((text, index) => {
          const width = widths[index] ?? 0;
          const cell = shorten(text, width);
          return columns[index]?.align === 'right' ? cell.padStart(width) : cell.padEnd(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const head = Math.ceil((width - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
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
