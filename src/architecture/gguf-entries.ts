/** The entries of a GGUF that belong to its architecture, by names without the architecture's. */
export const ggufEntriesOf = (
  metadata: Readonly<Record<string, unknown>>,
  architecture: string,
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => key.startsWith(`${architecture}.`))
      .map(([key, value]) => [key.slice(architecture.length + 1), value]),
  );
