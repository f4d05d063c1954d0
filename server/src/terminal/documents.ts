/** Workers for documents, with more patience than a server has: nobody else waits. */
import { ProcessEnded } from '../compact/apart.js';
import { OverBudget, TooLargeToMerge } from '../compact/over-budget.js';
import { Workers } from '../compact/workers.js';
import type { Config } from '../config.js';
import { memoryLimit, workerMemory } from '../memory.js';
import { Failure } from './command.js';

const BUDGET_MS = 10 * 60_000;
const MB = 1024 * 1024;

/** @throws {Failure} where a document took more time or memory than there is */
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
  } catch (error) {
    const isOfWorkers =
      error instanceof OverBudget ||
      error instanceof TooLargeToMerge ||
      error instanceof ProcessEnded;
    throw isOfWorkers ? new Failure(error.message, { cause: error }) : error;
  } finally {
    await workers.close();
  }
}
