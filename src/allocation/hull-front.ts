import { hullSteps } from './relaxation.js';
import { type Allocation, type Choice, checkChoices, total, worthwhile } from './table.js';

/**
 * The lower convex hull of all allocations of a table in (bytes, loss), the smallest first: exact, by taking the
 * hulls of the tensors apart at every price of a byte (the Lagrangian sweep of HAWQ-V2's Pareto front).
 *
 * @throws TersorError when the table holds no number
 */
export function hullFront(choices: readonly Choice[]): readonly Allocation[] {
  checkChoices(choices);
  const tensors = choices.map(worthwhile);
  const levels = tensors.map((own) => own[0]?.index ?? 0);
  const front = [total(choices, levels)];
  for (const { tensor, to } of hullSteps(tensors)) {
    levels[tensor] = tensors[tensor]?.[to]?.index ?? 0;
    front.push(total(choices, levels));
  }
  return front;
}
