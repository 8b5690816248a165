import { isShared } from './shared.js';
import { kernels, records } from './signatures.js';

type Kernels = typeof kernels;
type Records = typeof records;

/** Every function that assembly/index.ts exports. */
export type KernelName = keyof Kernels;
/** A class of assembly/ that a kernel reads. */
export type RecordName = keyof Records;
/** The kernels that work on a range of rows, which threads can share. */
export type RowKernel = { [K in KernelName]: Kernels[K]['rows'] extends true ? K : never }[KernelName];
/** The kernels that are called once. */
export type SingleKernel = Exclude<KernelName, RowKernel>;

/** The arrays whose addresses assembly/arrays.ts names. They must come from an arena. */
interface Arrays {
  F32Array: Float32Array;
  F64Array: Float64Array;
  I32Array: Int32Array;
  U16Array: Uint16Array;
  U8Array: Uint8Array;
  Halves: Uint8Array | Uint16Array;
}

type ValueOf<Type extends string> = Type extends `${infer Some}?`
  ? ValueOf<Some> | undefined
  : Type extends keyof Arrays
    ? Arrays[Type]
    : Type extends RecordName
      ? KernelRecord<Type>
      : Type extends 'bool'
        ? boolean
        : number;

/** A record's fields, all of which must be given: undefined says that an optional array is not there. */
export type FieldsOf<Name extends RecordName> = {
  readonly [Field in keyof Records[Name]['fields']]: Records[Name]['fields'][Field] extends readonly [
    infer Type extends string,
    number,
  ]
    ? ValueOf<Type>
    : never;
};

type Parameters<Types> = {
  readonly [Name in keyof Types]: Types[Name] extends string ? ValueOf<Types[Name]> : never;
};

/** What a kernel takes besides its range of rows, by name. */
export type ArgumentsOf<K extends KernelName> = K extends KernelName
  ? Kernels[K] extends { record: infer Name extends RecordName }
    ? FieldsOf<Name>
    : Kernels[K] extends { arguments: infer Types }
      ? Parameters<Types>
      : never
  : never;

interface Results {
  void: undefined;
  bool: boolean;
  i32: number;
  f32: number;
}

export type ResultOf<K extends KernelName> = Results[Kernels[K]['result']];

/** A record in the kernels' memory, made by `Arena.record`. */
export interface KernelRecord<Name extends RecordName = RecordName> {
  readonly name: Name;
  readonly address: number;
  /** Writes some of its fields anew. */
  set(fields: Partial<FieldsOf<Name>>): void;
}

type Argument = number | boolean | ArrayBufferView | KernelRecord | undefined;
type Argumented = Readonly<Record<string, Argument>>;

/** Writes fields of a record that lies at `at`. */
export function writeRecord(view: DataView, at: number, name: RecordName, values: Argumented): void {
  const layout: Readonly<Record<string, readonly [string, number]>> = records[name].fields;
  for (const [field, value] of Object.entries(values)) {
    const [type, offset] = layout[field] ?? [];
    if (type === undefined || offset === undefined) throw new Error(`record ${name} has no field ${field}`);
    const number = numberOf(value);
    if (type === 'f32') view.setFloat32(at + offset, number, true);
    else if (type === 'f64') view.setFloat64(at + offset, number, true);
    else if (type === 'bool') view.setUint8(at + offset, number);
    else view.setUint32(at + offset, number, true);
  }
}

/** The numbers that a kernel is called with. A record among them is written to `at`. */
export function passed(view: DataView, at: number, name: KernelName, values: Argumented): readonly number[] {
  const signature = kernels[name];
  if ('arguments' in signature)
    return Object.keys(signature.arguments).map((parameter) => numberOf(values[parameter]));
  writeRecord(view, at, signature.record, values);
  return [at];
}

/** A number, or where an array or record lies; 0 for what is absent. */
function numberOf(value: Argument): number {
  if (typeof value === 'number') return value;
  if (value === undefined) return 0;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if ('address' in value) return value.address;
  if (!isShared(value)) throw new Error('kernel arguments must come from an arena');
  return value.byteOffset;
}
