/** Numbers as people read them. */

/** Terminals are at least this wide, and longer lines are hard to read anyway. */
const screenWidth = 80;

const integer = new Intl.NumberFormat('en-US');

/** 13,893,824 */
export const formatCount = (value: number): string => integer.format(value);

const byteUnits = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** Decimal units with three significant digits, as file managers and model hubs show them: 13.9 MB. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  // 999.5 would print as 1000
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : significant(value, 3)} ${byteUnits[unit]}`;
}

/** 0.4 s, 12 s, 3 min 05 s, 2 h 07 min */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pad = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** A number with so many significant digits, never in exponential notation: 0.0123, 4.56, 789. */
export function significant(value: number, digits: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  // Rounded first: 999.6 has one digit more than it seems.
  const rounded = Math.abs(Number(value.toPrecision(digits)));
  const decimals = digits - 1 - Math.floor(Math.log10(rounded));
  return value.toFixed(Math.min(100, Math.max(0, decimals)));
}

/** A share of one: 84.2 %, and more digits for small ones: 0.0123 %. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${Math.abs(percent) >= 10 ? percent.toFixed(1) : significant(percent, 3)} %`;
}

/** The change from one value to another: +6.7 %. */
export function formatChange(before: number, after: number): string {
  const percent = (after / before - 1) * 100;
  return `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(1)} %`;
}

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
