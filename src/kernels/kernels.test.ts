import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { createGemm } from '../runtime/gemm.js';
import { instantiate } from './instance.js';
import { createKernels } from './kernels.js';

describe('kernels', () => {
  test.each([1, 2, 3])('split rows over %i threads', async (threads) => {
    const kernels = await createKernels({ threads });
    await kernels.scope((arena) => {
      const [x, y] = [arena.f32(1000), arena.f32(1000)];
      for (let i = 0; i < 1000; i++) [x[i], y[i]] = [i, 1];
      for (let repeat = 0; repeat < 100; repeat++) kernels.parallel('axpy', 1000, { a: 2, x, y });
      expect([...y]).toEqual(Array.from({ length: 1000 }, (_, i) => 200 * i + 1));
    });
    kernels.close();
  });

  test('a helper that is woken without a new ticket does not repeat its last kernel', async () => {
    const module = await WebAssembly.compile(
      await readFile(new URL('../../build/kernels.wasm', import.meta.url)),
    );
    const { memory, scope } = instantiate(module);
    const names = ['axpy'];
    const mailbox = new SharedArrayBuffer(32 + 8 * 32);
    const [control, values] = [new Int32Array(mailbox, 0, 8), new Float64Array(mailbox, 32)];
    const workerData = { module, memory, names, mailbox };
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
    await new Promise((resolve) => worker.once('message', resolve));
    await scope((arena) => {
      const [x, y] = [arena.f32(16).fill(1), arena.f32(16)];
      values.set([0, 16, 2, x.byteOffset, y.byteOffset]);
      control.set([0, 0, 5], 2);
      Atomics.add(control, 0, 1);
      Atomics.notify(control, 0);
      Atomics.wait(control, 1, 0);
      expect([...y]).toEqual(Array(16).fill(2));
      // What a thread does that is put to sleep between the new ticket and its notification, and wakes up late.
      let woken = 0;
      while (woken === 0) woken = Atomics.notify(control, 0);
      while (Atomics.notify(control, 0) === 0);
      expect([...y]).toEqual(Array(16).fill(2));
    });
    await worker.terminate();
  });

  test('memory grows, old arrays stay valid, and scopes give it back', async () => {
    const kernels = await createKernels();
    await kernels.scope(async (arena) => {
      const small = arena.f32(16).fill(3);
      const large = arena.f32(50_000_000);
      const before = large.byteOffset;
      const again = await kernels.scope((inner) => inner.f32(4).byteOffset);
      expect(await kernels.scope((inner) => inner.f32(4).byteOffset)).toBe(again);
      expect(again).toBeGreaterThan(before);
      kernels.parallel('axpy', 16, { a: 1, x: small, y: large });
      expect(large[15]).toBe(3);
    });
  });

  test('onnxruntime multiplies matrices that live in the kernels’ memory', async () => {
    const kernels = await createKernels();
    const gemm = createGemm();
    await kernels.scope(async (arena) => {
      const a = arena.f32(6);
      a.set([1, 2, 3, 4, 5, 6]);
      const into = arena.f32(4);
      await gemm({ data: a, shape: [2, 3] }, { data: a, shape: [2, 3] }, { transposeB: true, into });
      expect([...into]).toEqual([14, 32, 32, 77]);
      const add = { data: into, shape: [2, 2] };
      expect([
        ...(await gemm(
          { data: a, shape: [3, 2] },
          { data: a, shape: [3, 2] },
          { transposeA: true, alpha: -1, add },
        )),
      ]).toEqual([14 - 35, 32 - 44, 32 - 44, 77 - 56]);
    });
  });
});

describe('scopes', () => {
  const opened = async () => {
    const kernels = await createKernels();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    return { kernels, held, release };
  };

  test('refuse arrays from an arena whose scope has ended', async () => {
    const kernels = await createKernels();
    const arena = await kernels.scope((own) => own);
    expect(() => arena.f32(4)).toThrow('its scope has ended');
    await kernels.scope(() => {
      expect(() => arena.u8(4)).toThrow('its scope has ended');
    });
  });

  test('refuse arrays that a scope inside would release', async () => {
    const kernels = await createKernels();
    await kernels.scope(async (outer) => {
      await kernels.scope((inner) => {
        expect(() => outer.f32(4)).toThrow('while a scope inside its own is open');
        expect(inner.f32(4)).toHaveLength(4);
      });
      expect(outer.f32(4)).toHaveLength(4);
    });
  });

  test('refuse to end before those inside them, whose arrays stay', async () => {
    const { kernels, held, release } = await opened();
    const before = await kernels.scope((arena) => arena.f32(4).byteOffset);
    let inner: Promise<number> | undefined;
    const outer = kernels.scope((arena) => {
      arena.f32(16);
      inner = kernels.scope(async (own) => {
        const array = own.f32(4).fill(3);
        await held;
        await kernels.scope((another) => another.f32(4).fill(5));
        return array[0] ?? 0;
      });
    });
    await expect(outer).rejects.toThrow('a scope ended while one inside it was open');
    release();
    expect(await inner).toBe(3);
    expect(await kernels.scope((arena) => arena.f32(4).byteOffset)).toBe(before);
  });

  test('hand on the error of their body, whatever it left open, and give memory back after errors', async () => {
    const { kernels, held, release } = await opened();
    const before = await kernels.scope((arena) => arena.f32(4).byteOffset);
    let inner: Promise<void> | undefined;
    const outer = kernels.scope(() => {
      inner = kernels.scope(() => held);
      throw new Error('of the body');
    });
    await expect(outer).rejects.toThrow('of the body');
    release();
    await inner;
    await expect(
      kernels.scope((arena) => {
        arena.f32(100);
        throw new Error('another');
      }),
    ).rejects.toThrow('another');
    expect(await kernels.scope((arena) => arena.f32(4).byteOffset)).toBe(before);
  });
});
