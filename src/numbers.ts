/** Numbers as people read them. */

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

/** Divergences are differences of single-precision logarithms: what is below this is their rounding. */
const noDivergence = 1e-7;

/** A divergence in nats: 0.0123, and 0 for what is only rounding, whatever its sign. */
export const formatDivergence = (nats: number, digits = 3): string =>
  Math.abs(nats) < noDivergence ? '0' : significant(nats, digits);

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
