/** y[i] += a·x[i] for i in [start, end), which are multiples of four. Proves that the threads work. */
export function axpy(start: i32, end: i32, a: f32, x: usize, y: usize): void {
  const factor = f32x4.splat(a);
  for (let i = start; i < end; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(factor, v128.load(x + at))));
  }
}
