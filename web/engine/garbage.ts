/** In the place of src/runtime/garbage.ts: a page cannot have garbage collected. */
export function collectGarbage(_bytes: number): void {}
