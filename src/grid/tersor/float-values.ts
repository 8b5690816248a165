/** A binary floating-point format by its fields; the sign takes one bit more: E4M3 has eight. */
export interface FloatFormat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
}

/**
 * All finite values of a format in ascending order, with one zero: −max … max.
 *
 * The exponent's bias is 2^(E−1) − 1; exponent 0 holds the subnormals. As in OCP's 8-bit floating point specification
 * (OFP8 1.0, 2023), E5M2 gives its highest exponent to infinities and NaN, and E4M3 its highest bit pattern to NaN. All
 * other formats are numbers throughout, as in OCP Microscaling Formats 1.0 (section 5.3).
 */
export function floatValues(format: FloatFormat): Float32Array {
  const { exponentBits, mantissaBits } = format;
  const offset = bias(format);
  const steps = 2 ** mantissaBits;
  const magnitudes: number[] = [];
  for (let exponent = 0; exponent < 2 ** exponentBits; exponent++) {
    for (let mantissa = 0; mantissa < steps; mantissa++) {
      const fraction = mantissa / steps;
      magnitudes.push(
        exponent === 0 ? fraction * 2 ** (1 - offset) : (1 + fraction) * 2 ** (exponent - offset),
      );
    }
  }
  const kept = magnitudes.slice(0, magnitudes.length - reserved(exponentBits, mantissaBits));
  return Float32Array.from([
    ...kept
      .slice(1)
      .map((value) => -value)
      .reverse(),
    ...kept,
  ]);
}

/** What is taken from a stored exponent. */
export const bias = ({ exponentBits }: FloatFormat): number => 2 ** (exponentBits - 1) - 1;

export const largestFloat = (format: FloatFormat): number => floatValues(format).at(-1) ?? Number.NaN;

/** Bit patterns of either sign that are no numbers. */
function reserved(exponentBits: number, mantissaBits: number): number {
  if (exponentBits === 5 && mantissaBits === 2) return 4;
  return exponentBits === 4 && mantissaBits === 3 ? 1 : 0;
}

/** 2^(code − 127) for codes 0 … 254: the scales of OCP Microscaling Formats 1.0 (E8M0, section 5.4.1). */
export const powersOfTwo: Float32Array = Float32Array.from({ length: 255 }, (_, code) => 2 ** (code - 127));
