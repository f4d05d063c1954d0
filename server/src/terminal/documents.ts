/** Workers for documents, with more patience than a server has: nobody else waits. */
import { Workers } from '../compact/workers.js';
import { DEFAULT_LIMITS } from '../limits.js';

const BUDGET_MS = 10 * 60_000;

export async function withWorkers<T>(use: (workers: Workers) => Promise<T>): Promise<T> {
  const workers = new Workers({
    threads: 1,
    budget: BUDGET_MS,
    heap: 2 * DEFAULT_LIMITS.workerHeapMb,
  });
  try {
    return await use(workers);
  } finally {
    await workers.close();
  }
}
