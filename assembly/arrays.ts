// Addresses of arrays in the kernels' memory, by what the arrays hold. To AssemblyScript all are numbers; the signatures
// that TypeScript sees (assembly/signatures.mjs) ask for the array itself, of the right kind.

export type F32Array = usize;

export type F64Array = usize;

export type I32Array = usize;

export type U16Array = usize;

export type U8Array = usize;

/** Floats of 16 bits, which JavaScript holds as bytes or as u16. */
export type Halves = usize;

/** An address that may be 0: nothing is there. */
export type Optional<T> = T;
