import type { Portion } from '../../checkpoint/stack/stack.js';

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Fewer bytes than this without a unit are a unit forgotten. */
const leastWithoutUnit = 100_000;

/** What a text says, or what to give in its place: an imperative without a full stop. */
export type Reading<T> = { readonly value: T } | { readonly advice: string };

/** A number of bytes: 14MB, 3.5 GiB, 13893536. */
export function readBytes(text: string): Reading<number> {
  const { number = '', unit = '' } =
    /^\s*(?<number>\d+(\.\d+)?)\s*(?<unit>[a-z]*)\s*$/i.exec(text)?.groups ?? {};
  const factor = units[unit.toLowerCase()];
  const bytes = Math.floor(Number(number) * (factor ?? 0));
  if (number === '' || factor === undefined || !(bytes > 0) || !Number.isSafeInteger(bytes))
    return { advice: 'give a size such as 14MB, 3.5GiB or 13893536' };
  if (unit === '' && bytes < leastWithoutUnit)
    return { advice: `give a unit: ${number}MB, ${number}GB, or ${number}B for bytes` };
  return { value: bytes };
}

/** A part of a file: 50% or 1.5MB. */
export function readPortion(text: string): Reading<Portion> {
  const { percent } = /^\s*(?<percent>\d+(\.\d+)?)\s*%\s*$/.exec(text)?.groups ?? {};
  if (percent === undefined) {
    const read = readBytes(text);
    return 'advice' in read ? read : { value: { bytes: read.value } };
  }
  const share = Number(percent) / 100;
  if (share > 0 && share <= 1) return { value: { share } };
  return { advice: 'give a share from 0 to 100%, or a size such as 1.5MB' };
}
