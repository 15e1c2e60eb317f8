/**
 * Runs a task for each item, a bounded number at a time, in order of the items. When the signal is
 * aborted no further task starts; those under way end.
 * @returns how many items were started
 */
export async function forEachConcurrently<Item>(
  items: readonly Item[],
  concurrency: number,
  signal: AbortSignal,
  task: (item: Item) => Promise<void>,
): Promise<number> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && !signal.aborted) {
      const item = items[next] as Item;
      next += 1;
      await task(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  return next;
}
