/** Workers for documents, with more patience than a server has: nobody else waits. */
import { Workers } from '../compact/workers.js';
import type { Config } from '../config.js';
import { memoryLimit, workerMemory } from '../memory.js';

const BUDGET_MS = 10 * 60_000;
const MB = 1024 * 1024;

export async function withWorkers<T>(
  { limits }: Config,
  use: (workers: Workers) => Promise<T>,
): Promise<T> {
  const workers = new Workers({
    threads: 1,
    budget: BUDGET_MS,
    memory: limits.workerMemoryMb ?? workerMemory(memoryLimit()) / MB,
  });
  try {
    return await use(workers);
  } finally {
    await workers.close();
  }
}
