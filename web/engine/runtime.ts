import type * as Ort from 'onnxruntime-web';
import gpuWasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

export type Provider = 'webgpu' | 'wasm';

/** onnxruntime-web with what it computes on. */
export interface Runtime {
  readonly ort: typeof Ort;
  readonly provider: Provider;
}

const loaded = new Map<Provider, Promise<Runtime>>();

/** Loads onnxruntime-web once for each kind of device; only what is used is downloaded. */
export function loadRuntime(provider: Provider): Promise<Runtime> {
  const known = loaded.get(provider);
  if (known) return known;
  const load = async (): Promise<Runtime> => {
    const ort = (await (provider === 'webgpu'
      ? import('onnxruntime-web/webgpu')
      : import('onnxruntime-web/wasm'))) as typeof Ort;
    const wasm = new URL(provider === 'webgpu' ? gpuWasmUrl : wasmUrl, self.location.href).href;
    ort.env.wasm.wasmPaths = { wasm };
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = 'error';
    return { ort, provider };
  };
  const runtime = load();
  loaded.set(provider, runtime);
  return runtime;
}

interface Gpu {
  requestAdapter(): Promise<unknown>;
}

/** What models run on: the graphics processor where the browser offers one. */
export async function bestProvider(): Promise<Provider> {
  const { gpu } = navigator as { readonly gpu?: Gpu };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return adapter ? 'webgpu' : 'wasm';
}
