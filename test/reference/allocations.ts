import type { Allocation, Choice } from '../../src/allocation/table.js';
import { uniform } from './random.js';

/** Every allocation of a small table. */
export function* everyAllocation(choices: readonly Choice[]): Generator<Allocation> {
  const levels = choices.map(() => 0);
  for (;;) {
    let [bytes, loss] = [0, 0];
    for (const [tensor, choice] of choices.entries()) {
      bytes += choice.levels[levels[tensor] ?? 0]?.bytes ?? 0;
      loss += choice.levels[levels[tensor] ?? 0]?.loss ?? 0;
    }
    yield { levels: [...levels], bytes, loss };
    let tensor = 0;
    for (; tensor < choices.length; tensor++) {
      const next = (levels[tensor] ?? 0) + 1;
      if (next < (choices[tensor]?.levels.length ?? 0)) {
        levels[tensor] = next;
        break;
      }
      levels[tensor] = 0;
    }
    if (tensor === choices.length) return;
  }
}

/**
 * A table like those of a transformer: sizes are parameters times bits, loss falls by about a quarter per two bits
 * and differs between tensors by orders of magnitude.
 */
export function modelTable(tensors: number, seed: number, bits = [2, 3, 4, 5, 6, 8]): Choice[] {
  const random = uniform(seed);
  return Array.from({ length: tensors }, (_, tensor) => {
    const weights = 4096 * (1 + Math.floor(random() * 16)) * 32;
    const sensitivity = 10 ** (3 * random() - 3);
    return {
      name: `blk.${tensor}.weight`,
      levels: bits.map((bit) => ({
        type: `Q${bit}`,
        bytes: (weights * bit) / 8 + weights / 16,
        loss: sensitivity * 4 ** -bit * (0.7 + 0.6 * random()),
      })),
    };
  });
}
