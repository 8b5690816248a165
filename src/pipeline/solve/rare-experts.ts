import { borrowedWeight } from '../../calibration/routed.js';
import type { Run } from './run.js';

/**
 * Says how many experts fewer tokens of the calibration text chose than they have inputs, so that their own second moments
 * leave some of these open.
 */
export function warnOfRareExperts({ job, results, hooks }: Pick<Run, 'job' | 'results' | 'hooks'>): void {
  const { hidden } = job.model.architecture;
  const routed = new Map(results.map(({ name, routedTokens }) => [name, routedTokens]));
  // Of the three layers of an expert one tells.
  const counts = job.assignments
    .filter(({ spec }) => spec.expert && spec.role.startsWith('ffn_down'))
    .flatMap(({ name }) => routed.get(name) ?? []);
  const rare = counts.filter((count) => count < hidden);
  if (rare.length === 0) return;
  const none = rare.filter((count) => count === 0).length;
  hooks.warn?.(
    `${rare.length} of ${counts.length} experts were chosen by fewer than ${hidden} tokens of the calibration text` +
      `${none > 0 ? `, ${none} of them by none` : ''}: they are compressed for what their layer sees, which counts as ` +
      `${borrowedWeight} tokens; a longer or more varied text (--tokens, --calibration) reaches more of them`,
  );
}
