// ggml's own quantize and dequantize functions, from the prebuilt library inside an npm package: the evaluator of
// every format test. Only where that package is installed (linux-x64); elsewhere `ggmlMissing` says why.
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi from 'koffi';
import { type GgufName, ggufFormats } from '../../src/grid/gguf/gguf.js';
import { type LatticeName, latticeFormats } from '../../src/grid/gguf/lattice.js';

const packageName = '@node-llama-cpp/linux-x64';

interface Ggml {
  chunk(
    type: number,
    source: Float32Array,
    into: Uint8Array,
    start: number,
    rows: number,
    cols: number,
    importance: Float32Array | null,
  ): number;
  /** The dequantize function of a type; f32 has none. */
  decoder(type: number): ((bytes: Uint8Array, into: Float32Array, count: number) => void) | undefined;
}

const loaded = load();

/** Why there is no oracle on this machine; undefined where there is one. */
export const ggmlMissing: string | undefined = 'reason' in loaded ? loaded.reason : undefined;

/**
 * Quantizes a row-major rows × cols matrix with `ggml_quantize_chunk`.
 * @param importance one weight per column, as an importance matrix gives them
 */
export function ggmlQuantize(
  name: GgufName,
  rows: number,
  cols: number,
  data: Float32Array,
  importance?: Float32Array,
): Uint8Array {
  const { type, blockSize, blockBytes } = ggufFormats[name];
  if (data.length !== rows * cols || cols % blockSize || (importance && importance.length !== cols))
    throw new Error(`${name}: ${data.length} values are not ${rows} rows of ${cols} columns in whole blocks`);
  const bytes = new Uint8Array((rows * cols * blockBytes) / blockSize);
  library().chunk(type, data, bytes, 0, rows, cols, importance ?? null);
  return bytes;
}

/** Decodes `count` values with the type's `to_float`. */
export function ggmlDequantize(name: GgufName | LatticeName, bytes: Uint8Array, count: number): Float32Array {
  const { type, blockSize, blockBytes } = { ...ggufFormats, ...latticeFormats }[name];
  if (bytes.length * blockSize !== count * blockBytes)
    throw new Error(`${name}: ${bytes.length} bytes do not hold ${count} values`);
  const values = new Float32Array(count);
  const decode = library().decoder(type);
  if (decode) decode(bytes, values, count);
  else new Uint8Array(values.buffer).set(bytes);
  return values;
}

function library(): Ggml {
  if ('reason' in loaded) throw new Error(loaded.reason);
  return loaded;
}

function load(): Ggml | { readonly reason: string } {
  let file: string;
  try {
    const bins = join(dirname(createRequire(import.meta.url).resolve(packageName)), '../bins');
    const [build = ''] = readdirSync(bins);
    file = join(bins, build, 'libggml-base.so');
  } catch {
    return { reason: `the optional package ${packageName} is not installed` };
  }
  const base = koffi.load(file);
  const chunk = base.func(
    'size_t ggml_quantize_chunk(int type, const float *src, void *dst, int64_t start, int64_t rows, int64_t cols, const float *importance)',
  );
  // struct ggml_type_traits; only the function is of interest.
  const traits = koffi.struct({
    type_name: 'const char *',
    blck_size: 'int64_t',
    blck_size_interleave: 'int64_t',
    type_size: 'size_t',
    is_quantized: 'bool',
    to_float: 'void *',
    from_float_ref: 'void *',
  });
  const getTraits = base.func('ggml_get_type_traits', koffi.pointer(traits), ['int']);
  const toFloat = koffi.proto('void ToFloat(const void *bytes, _Out_ float *values, int64_t count)');
  return {
    chunk,
    decoder(type) {
      const pointer: unknown = koffi.decode(getTraits(type), traits).to_float;
      return pointer ? (bytes, into, count) => koffi.call(pointer, toFloat, bytes, into, count) : undefined;
    },
  };
}
