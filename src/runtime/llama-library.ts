import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi, { type KoffiFunc } from 'koffi';
import { TersorError } from '../errors.js';
import { type Declaration, declarations, type Fields, type Llama, type Pointer } from './llama-abi.js';

// libllama and ggml come inside the npm packages of node-llama-cpp.
const release = '0.5.0';
const packageVersion = '3.22.1';

/** Packages by `process.platform`-`process.arch`. */
const packages: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'mac-x64',
  'darwin-arm64': 'mac-arm64-metal',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

// Model loading and graph building recurse deeper than the 128 KiB that koffi gives asynchronous calls.
koffi.config({ async_stack_size: 8 * 1024 * 1024, async_heap_size: 1024 * 1024 });

let loaded: Llama | undefined;
let quiet: Pointer = null;

/**
 * The library's functions, loaded on first use.
 * @throws TersorError when its package is not installed or holds another release
 */
export function llama(): Llama {
  loaded ??= load();
  return loaded;
}

function load(): Llama {
  const folder = libraryFolder();
  const file = (stem: string) => {
    const pattern = new RegExp(`^(lib)?${stem}(\\.v[\\d.]+)?\\.(so|dylib|dll)$`);
    const name = readdirSync(folder).find((entry) => pattern.test(entry));
    if (!name)
      throw new TersorError(`there is no ${stem} library`, {
        code: 'not-found',
        file: folder,
        remedy: reinstall(),
      });
    return join(folder, name);
  };
  // Dependencies first, so that libllama finds them loaded whatever the platform's search path.
  koffi.load(file('ggml-base'));
  const ggml = koffi.load(file('ggml'));
  const library = koffi.load(file('llama'));
  const functions = Object.fromEntries(
    Object.entries(declarations).map(([name, [result, ...parameters]]: [string, Declaration]) => [
      name,
      library.func(name, result, parameters),
    ]),
  ) as unknown as Llama;

  // A log callback that does nothing, on any thread, even while the process ends: libllama's own clock.
  quiet = library.symbol('llama_time_us');
  functions.llama_log_set(quiet, null);
  const version = functions.llama_version();
  if (!version.replace(/^v/, '').startsWith(release)) {
    throw new TersorError(`llama.cpp ${version} is installed and ${release} is needed`, {
      code: 'unsupported',
      file: folder,
      remedy: reinstall(),
    });
  }
  checkLayout(functions);
  ggml.func('ggml_backend_load_all_from_path', 'void', ['str'])(folder);
  functions.llama_backend_init();
  return functions;
}

const packageName = () => packages[`${process.platform}-${process.arch}`];
const reinstall = () => `run npm install @node-llama-cpp/${packageName()}@${packageVersion}`;

function libraryFolder(): string {
  const name = packageName();
  if (!name) {
    throw new TersorError(`there is no llama.cpp for ${process.platform}-${process.arch}`, {
      code: 'unsupported',
      remedy: `use one of ${Object.keys(packages).join(', ')}`,
    });
  }
  try {
    const entry = createRequire(import.meta.url).resolve(`@node-llama-cpp/${name}`);
    return join(dirname(dirname(entry)), 'bins', name);
  } catch (cause) {
    throw new TersorError(`llama.cpp (@node-llama-cpp/${name}) is not installed`, {
      code: 'not-found',
      remedy: reinstall(),
      cause,
    });
  }
}

/** Defaults that llama.cpp v0.5.0 sets; a shifted field would show in at least one of them. */
function checkLayout(functions: Llama): void {
  const expected: [Fields, Fields][] = [
    [
      functions.llama_model_default_params(),
      { n_gpu_layers: -1, lazy_mode: 1, use_extra_bufts: true, load_mtp: false },
    ],
    [
      functions.llama_context_default_params(),
      {
        n_ctx: 512,
        n_batch: 2048,
        flash_attn_type: -1,
        yarn_orig_ctx: 0,
        defrag_thold: -1,
        type_k: 1,
        type_v: 1,
      },
    ],
    [
      functions.llama_context_default_params(),
      { embeddings: false, swa_full: true, n_samplers: 0, ctx_other: null },
    ],
    [
      functions.llama_model_quantize_default_params(),
      { ftype: 7, output_tensor_type: 43, quantize_output_tensor: true, max_buf_size: 8 * 1024 ** 3 },
    ],
  ];
  for (const [actual, fields] of expected) {
    for (const [name, value] of Object.entries(fields)) {
      if (actual[name] !== value) {
        throw new TersorError(
          `llama.cpp's ${name} is ${actual[name]} and not ${value}: its interface differs`,
          { code: 'unsupported', remedy: reinstall() },
        );
      }
    }
  }
}

const logLevelError = 4; // GGML_LOG_LEVEL_ERROR
const logCallback = koffi.pointer(koffi.proto('void', ['int', 'str', 'void *']));
let listeners = 0;
let collected: string[] = [];
let callback: bigint | undefined;

/**
 * Runs a job during which the library's error messages are collected; `lastError` gives the newest one.
 * Only asynchronous calls may run inside: the library logs from other threads and waits for this one.
 */
export async function withErrorLog<T>(job: (lastError: () => string | undefined) => Promise<T>): Promise<T> {
  const { llama_log_set } = llama();
  if (listeners++ === 0) {
    collected = [];
    callback = koffi.register((level: number, text: string) => {
      if (level === logLevelError) collected.push(text.trim());
    }, logCallback);
    llama_log_set(callback, null);
  }
  try {
    return await job(() => collected.at(-1));
  } finally {
    if (--listeners === 0 && callback !== undefined) {
      llama_log_set(quiet, null);
      koffi.unregister(callback);
    }
  }
}

/** Calls a function on a thread of its own; the event loop goes on meanwhile. */
export function inBackground<A extends unknown[], R>(
  called: KoffiFunc<(...args: A) => R>,
  ...args: A
): Promise<R> {
  return new Promise((resolve, reject) => {
    called.async(...args, (error: unknown, result: R) => (error ? reject(error) : resolve(result)));
  });
}
