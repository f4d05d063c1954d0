import * as framework from 'vitest';
import { storageContract } from './contract.js';
import { MemoryStorage } from './memory.js';

storageContract(framework, 'memory', async () => {
  const storage = new MemoryStorage();
  return { survivesClose: false, open: async () => storage, dispose: async () => undefined };
});
