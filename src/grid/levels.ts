import { TersorError } from '../errors.js';
import type { Arena, FieldsOf, KernelRecord } from '../kernels/kernels.js';
import type { Grid, Parameters } from './grid.js';

/** How assembly/rounding/levels.ts tells levels apart. */
const kinds = { uniform: 0, table: 1, f32: 2, f16: 3, bf16: 4, codebook: 5 } as const;

/** Describes levels to kernels that round; those of codebooks stand in the parameters. */
export function levelRecord(
  arena: Arena,
  { levels }: Pick<Grid, 'levels'>,
  { codebook }: Pick<Parameters, 'codebook'>,
): KernelRecord<'GridLevels'> {
  const record = (fields: Partial<FieldsOf<'GridLevels'>> & { readonly kind: number }) =>
    arena.record('GridLevels', {
      low: 0,
      high: 0,
      count: 0,
      values: undefined,
      midpoints: undefined,
      pitch: 0,
      ...fields,
    });
  switch (levels.kind) {
    case 'uniform':
      return record({ kind: kinds.uniform, low: levels.min, high: levels.max });
    case 'table': {
      const count = levels.values.length;
      const [values, midpoints] = [arena.f32(count), arena.f32(count)];
      values.set(levels.values);
      for (let i = 0; i + 1 < count; i++) midpoints[i] = ((values[i + 1] ?? 0) + (values[i] ?? 0)) / 2;
      return record({ kind: kinds.table, count, values, midpoints });
    }
    case 'codebook': {
      if (!codebook) throw new Error('parameters without a codebook; make them with the grid’s allocate');
      const pitch = (codebook.length / levels.size) * codebook.BYTES_PER_ELEMENT;
      return record({ kind: kinds.codebook, count: levels.size, values: codebook, pitch });
    }
    case 'vector':
      throw new TersorError('types vq-… have codes for several columns at a time', {
        remedy: 'choose the solver vptq for them',
      });
    case 'cast':
      return record({ kind: kinds[levels.type] });
  }
}
