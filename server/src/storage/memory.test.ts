import * as framework from 'vitest';
import { sharedStorageContract, storageContract } from './contract.js';
import { MemoryStorage } from './memory.js';

storageContract(framework, 'memory', async () => {
  const storage = new MemoryStorage();
  return { survivesClose: false, open: async () => storage, dispose: async () => undefined };
});

sharedStorageContract(framework, 'memory', async () => {
  const first = new MemoryStorage();
  return {
    survivesClose: true,
    open: async () => new MemoryStorage(first),
    dispose: () => first.close(),
  };
});
