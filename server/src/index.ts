/** The package's way in: `import { createServer } from '@cowrite/server'`. */
export {
  type CowriteServer,
  createServer,
  type Hooks,
  type Limits,
  type ServerOptions,
} from './server.js';
export type { Permission } from './session.js';
export { LmdbStorage } from './storage/lmdb.js';
export { StorageInUse } from './storage/lock.js';
export { MemoryStorage } from './storage/memory.js';
export * from './storage/storage.js';
export { UpgradeRefused } from './transport.js';
