import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytesOf, refused, withFolder } from '../../../test/checkpoint/files.js';
import {
  array,
  f32,
  f64,
  gguf,
  pair,
  type RawGguf,
  text,
  u8,
  u32,
  u64,
  valueType,
} from '../../../test/checkpoint/gguf.js';
import { needs } from '../../../test/fixtures/needs.js';
import { ggmlDequantize, ggmlMissing, ggmlQuantize } from '../../../test/oracle/ggml.js';
import { normals } from '../../../test/reference/random.js';
import { type GgufName, ggufFormats } from '../../grid/gguf/gguf.js';
import type { Checkpoint } from '../checkpoint.js';
import { openCheckpoint } from '../open.js';

const values = normals(24, 1);
const tensor = { name: 'a', dimensions: [4, 3, 2], type: 0, data: bytesOf(values) };

const opened = <T>(raw: RawGguf, body: (checkpoint: Checkpoint) => Promise<T> | T): Promise<T> =>
  withFolder({ 'model.gguf': gguf(raw) }, async (folder) => {
    const checkpoint = await openCheckpoint(join(folder, 'model.gguf'));
    try {
      return await body(checkpoint);
    } finally {
      await checkpoint.close();
    }
  });

describe('reading', () => {
  test.each([2, 3])('version %i', (version) =>
    opened({ version, tensors: [tensor] }, async (checkpoint) => {
      expect(checkpoint).toMatchObject({ format: 'gguf', naming: 'gguf' });
      expect([...checkpoint.tensors.values()]).toEqual([
        { name: 'a', shape: [2, 3, 4], type: 'f32', bytes: 96 },
      ]);
      expect(await checkpoint.read('a')).toEqual({ shape: [2, 3, 4], data: values });
      expect(await checkpoint.readRows('a', 1, 2)).toEqual({ shape: [1, 3, 4], data: values.slice(12) });
    }),
  );

  test('all types of values', () => {
    const t = valueType;
    const pairs = [
      pair('u8', t.u8, u8(255)),
      pair('i8', t.i8, u8(255)),
      pair('u16', t.u16, Uint8Array.of(255, 255)),
      pair('i16', t.i16, Uint8Array.of(255, 255)),
      pair('u32', t.u32, u32(2 ** 32 - 1)),
      pair('i32', t.i32, u32(2 ** 32 - 1)),
      pair('f32', t.f32, f32(1.5)),
      pair('bool', t.bool, u8(1)),
      pair('string', t.string, text('Zeichenkette ▁')),
      pair('u64', t.u64, u64(2 ** 40)),
      pair('large', t.u64, u64(2n ** 64n - 1n)),
      pair('i64', t.i64, u64(2n ** 64n - 3n)),
      pair('f64', t.f64, f64(0.1)),
      pair('strings', t.array, array(t.string, [text('a'), text(''), text('\ufeff')])),
      pair('flags', t.array, array(t.bool, [u8(0), u8(1)])),
      pair('empty', t.array, array(t.f32, [])),
      pair('nested', t.array, array(t.array, [array(t.u8, [u8(1)]), array(t.string, [text('x')])])),
      pair('__proto__', t.string, text('own')),
    ];
    return opened({ pairs }, ({ metadata, tensors }) => {
      expect(tensors.size).toBe(0);
      expect(Object.entries(metadata)).toEqual([
        ['u8', 255],
        ['i8', -1],
        ['u16', 65535],
        ['i16', -1],
        ['u32', 2 ** 32 - 1],
        ['i32', -1],
        ['f32', 1.5],
        ['bool', true],
        ['string', 'Zeichenkette ▁'],
        ['u64', 2 ** 40],
        ['large', 2n ** 64n - 1n],
        ['i64', -3],
        ['f64', 0.1],
        ['strings', ['a', '', '\ufeff']],
        ['flags', [false, true]],
        ['empty', []],
        ['nested', [[1], ['x']]],
        ['__proto__', 'own'],
      ]);
    });
  });

  test('a header longer than what is read at first', () => {
    const tokens = Array.from({ length: 300_000 }, (_, id) => `token number ${id}`);
    const pairs = [pair('tokens', valueType.array, array(valueType.string, tokens.map(text)))];
    return opened({ pairs, tensors: [tensor] }, async (checkpoint) => {
      expect(checkpoint.metadata).toEqual({ tokens });
      expect((await checkpoint.read('a')).data).toEqual(values);
    });
  });

  test('an alignment of its own', () => {
    const pairs = [pair('general.alignment', valueType.u32, u32(256))];
    return opened({ pairs, tensors: [tensor], alignment: 256 }, async (checkpoint) => {
      expect((await checkpoint.read('a')).data).toEqual(values);
    });
  });

  const formats = Object.values(ggufFormats).map(({ name }): [GgufName] => [name]);
  test.each(formats)('%s as ggml decodes it', needs(ggmlMissing), (name) => {
    const [inner, middle, outer] = [512, 3, 57];
    const rows = middle * outer; // more than one slab, and not a multiple of four
    const data = ggmlQuantize(name, rows, inner, normals(rows * inner, 7), new Float32Array(inner).fill(1));
    const expected = ggmlDequantize(name, data, rows * inner);
    const { type } = ggufFormats[name];
    const vector = data.slice(0, data.length / rows);
    const tensors = [
      { name: 'a', dimensions: [inner, middle, outer], type, data },
      { name: 'v', dimensions: [inner], type, data: vector },
    ];
    return opened({ tensors }, async (checkpoint) => {
      expect(checkpoint.tensors.get('a')).toEqual({
        name: 'a',
        shape: [outer, middle, inner],
        type: name,
        bytes: data.length,
      });
      const whole = await checkpoint.read('a');
      expect(Buffer.compare(bytesOf(whole.data), bytesOf(expected))).toBe(0);
      const part = await checkpoint.readRows('a', 5, 9);
      expect(part.shape).toEqual([4, middle, inner]);
      expect(part.data).toEqual(expected.slice(5 * middle * inner, 9 * middle * inner));
      expect((await checkpoint.readRows('v', 3, 400)).data).toEqual(expected.slice(3, 400));
    });
  });
});

describe('refuses', () => {
  const t = valueType;
  const intact = gguf({ pairs: [pair('key', t.string, text('value'))], tensors: [tensor] });
  const tooLong = Buffer.concat([u64(2n ** 40n), new Uint8Array(100)]);
  let endless = array(t.u8, []);
  for (let depth = 0; depth < 99; depth++) endless = array(t.array, [endless]);
  const cases: [what: string, file: Uint8Array, message: RegExp][] = [
    [
      'an empty file',
      new Uint8Array(),
      /model.gguf: ends inside the header; it is truncated or corrupt; get/,
    ],
    ['another magic', gguf({ magic: 'GGML' }), /does not begin with GGUF; give a GGUF file/],
    ['version 1', gguf({ version: 1 }), /has GGUF version 1; convert the model again/],
    ['a version to come', gguf({ version: 4 }), /has GGUF version 4/],
    ['the other byte order', gguf({ version: 0x03000000 }), /is a big-endian GGUF file/],
    ['a file cut inside the counts', intact.slice(0, 14), /ends inside the header; it is truncated/],
    [
      'a file cut inside a pair',
      intact.slice(0, 30),
      /says that 1 items follow in the header, more than the file holds; get/,
    ],
    [
      'a file cut inside a description',
      intact.slice(0, 90),
      /ends inside the description of tensor a; it is truncated/,
    ],
    [
      'a file cut inside its data',
      intact.slice(0, -40),
      /tensor a: reaches to byte \d+, but the file ends at byte \d+; it is tr/,
    ],
    [
      'more pairs than bytes',
      Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(1e15)]),
      /says that 1000000000000000 items follow in the header/,
    ],
    [
      'a key beyond the file',
      gguf({ pairs: [tooLong] }),
      /says that 1099511627776 items follow in key-value pair 0/,
    ],
    [
      'a string beyond the file',
      gguf({ pairs: [pair('k', t.string, tooLong)] }),
      /says that 1099511627776 items follow in the value of k/,
    ],
    [
      'an array beyond the file',
      gguf({ pairs: [pair('k', t.array, Buffer.concat([u32(t.u8), tooLong]))] }),
      /says that 1099511627776 items follow in the value of k/,
    ],
    [
      'an unknown value type',
      gguf({ pairs: [pair('k', 13, tooLong)] }),
      /the unknown value type 13 in the value of k/,
    ],
    [
      'arrays without end',
      gguf({
        pairs: [pair('k', t.array, endless)],
      }),
      /has arrays nested deeper than 4 in the value of k/,
    ],
    [
      'five dimensions',
      gguf({ tensors: [{ ...tensor, dimensions: [1, 1, 1, 1, 24] }] }),
      /has 5 dimensions in the description of tensor a/,
    ],
    [
      'an impossible shape',
      gguf({ tensors: [{ ...tensor, dimensions: [2n ** 40n, 2n ** 40n] }] }),
      /tensor a: has the impossible shape/,
    ],
    [
      'a type that is not read',
      gguf({ tensors: [{ ...tensor, type: 40 }] }),
      /tensor a: has the type nvfp4, which is not read; requantize it to one of f32, f16/,
    ],
    [
      'an unknown type',
      gguf({ tensors: [{ ...tensor, type: 99 }] }),
      /tensor a: has the unknown type 99; requantize it to one of f32, f16/,
    ],
    [
      'rows that blocks do not divide',
      gguf({ tensors: [{ ...tensor, type: 8 }] }),
      /tensor a: has rows of 4 values, which blocks of 32 \(q8_0\)/,
    ],
    [
      'an offset beyond the file',
      gguf({ tensors: [{ ...tensor, offset: 2 ** 50 }] }),
      /tensor a: reaches to byte/,
    ],
    [
      'overlapping tensors',
      gguf({ tensors: [tensor, { ...tensor, name: 'b', offset: 32 }] }),
      /tensor b: overlaps a/,
    ],
    ['a name twice', gguf({ tensors: [tensor, tensor] }), /tensor a: occurs twice/],
    [
      'an alignment of zero',
      gguf({ pairs: [pair('general.alignment', t.u32, u32(0))] }),
      /the impossible alignment 0/,
    ],
    [
      'one part of several',
      gguf({ pairs: [pair('split.count', t.u16, Uint8Array.of(3, 0))] }),
      /is one of 3 parts of a model, and its name does not tell.*join them/,
    ],
  ];
  test.each(cases)('%s', (_, file, message) =>
    withFolder({ 'model.gguf': file }, (folder) => refused(join(folder, 'model.gguf'), message)),
  );

  test('NaN and infinity, in floats and in scales', async () => {
    const bad = values.slice();
    bad[17] = Number.NaN;
    const scales = new Uint8Array(34 * 6);
    scales.set([0, 0x7c], 34 * 4); // the scale of row 2, columns 0–31, is infinite
    scales.fill(1, 34 * 4 + 2);
    const tensors = [
      { ...tensor, data: bytesOf(bad) },
      { name: 'q', dimensions: [64, 3], type: 8, data: scales },
    ];
    await opened({ tensors }, async (checkpoint) => {
      await expect(checkpoint.read('a')).rejects.toThrow('tensor a: the value at [1,1,1] is NaN');
      await expect(checkpoint.read('q')).rejects.toThrow('tensor q: the value at [2,0] is infinite');
    });
  });
});
