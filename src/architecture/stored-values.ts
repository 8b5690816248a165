import type { StoredValues } from './architecture.js';

/** What programs compute with, of what Hugging Face's files hold: (w + offset) · factor. */
export const fromStored = (data: Float32Array, { offset, factor }: StoredValues): Float32Array =>
  data.map((value) => (value + offset) * factor);

/** The way back. */
export const toStored = (data: Float32Array, { offset, factor }: StoredValues): Float32Array =>
  data.map((value) => value / factor - offset);
