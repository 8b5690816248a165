// Renders one chat template. Plain JavaScript, because Node loads it as it is from the sources (tests) and from dist.
import { Template } from '@huggingface/jinja';

process.once('message', (message) => {
  const { template, values } = /** @type {{ template: string, values: Record<string, unknown> }} */ (message);
  try {
    process.send?.({ text: new Template(template).render(values) });
  } catch (error) {
    process.send?.({ failure: error instanceof Error ? error.message : String(error) });
  }
});
