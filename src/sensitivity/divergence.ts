import type { LevelFacts, TensorFacts } from './measure.js';

/**
 * Divergence of every level from those where it was measured. Small changes of a weight change the divergence by a
 * quadratic form, as they do the layer's loss, so that the two are proportional; larger ones may leave that regime, so
 * between measured levels the divergence follows the power of ε that both of them lie on, and beyond them it is
 * proportional.
 * @returns nats per token, one for each level
 */
export function divergenceLoss({ levels }: TensorFacts): number[] {
  const measured = levels
    .filter((level): level is Measured => level.divergence !== undefined && level.relativeError > 0)
    .map(({ relativeError, divergence }) => ({
      error: relativeError,
      divergence: Math.max(divergence, tiny),
    }))
    .sort((a, b) => a.error - b.error);
  return levels.map(({ relativeError: error, divergence }) => {
    if (divergence !== undefined) return Math.max(0, divergence);
    const above = measured.find((point) => point.error >= error) ?? measured.at(-1);
    const below = measured.findLast((point) => point.error <= error) ?? measured[0];
    if (!above || !below || error <= 0) return 0;
    const nearest = error >= above.error ? above : below.error >= error ? below : undefined;
    if (nearest) return (nearest.divergence * error) / nearest.error;
    const share = Math.log(error / below.error) / Math.log(above.error / below.error);
    return below.divergence * (above.divergence / below.divergence) ** share;
  });
}

type Measured = LevelFacts & { readonly divergence: number };

/** A divergence below what single precision resolves. */
const tiny = 1e-12;
