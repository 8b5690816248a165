import { instantiate, type Kernels } from './instance.js';

/** Where `kernels.wasm` comes from: an address, an answer to a request, its bytes, or what was compiled of them. */
export type KernelSource = string | URL | Response | BufferSource | WebAssembly.Module;

/**
 * Loads the kernels on the calling thread, which works in browsers, workers and Node alike.
 * @param source the package's `tersor/kernels.wasm`
 */
export async function loadKernels(source: KernelSource): Promise<Kernels> {
  const { scope, call, find, passed } = instantiate(await compile(source));
  return {
    threads: 1,
    scope,
    call,
    parallel(name, rows, values) {
      find(name)(0, rows, ...passed(name, values));
    },
    close() {},
  };
}

async function compile(source: KernelSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source === 'string' || source instanceof URL) return compile(await fetch(source));
  if (!(source instanceof Response)) return WebAssembly.compile(source);
  if (!source.ok) throw new Error(`${source.url} cannot be fetched (${source.status})`);
  // Not compileStreaming, which insists on a media type that many servers do not send.
  return WebAssembly.compile(await source.arrayBuffer());
}
