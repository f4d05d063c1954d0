/** The package's way in: `import { createServer } from '@cowrite/server'`. */

export type { AuthenticateHook, AuthSettings } from './auth/authenticator.js';
export { type Access, AuthRefused, type Identity, type User } from './auth/identity.js';
export { type NewToken, signToken, type TokenSettings } from './auth/tokens.js';
export { NotSaved } from './ending.js';
export type { Limits } from './limits.js';
export type { UnsavedRoom } from './log.js';
export type { Ended, KickOptions } from './orders.js';
export { MemoryPresence, PresenceHub } from './presence/memory.js';
export * from './presence/presence.js';
export { RedisPresence } from './presence/redis.js';
export { MemoryHub, MemoryRelay } from './relay/memory.js';
export { RedisRelay } from './relay/redis.js';
export * from './relay/relay.js';
export { createServer } from './server.js';
export type { CowriteServer, Hooks, ServerOptions } from './server-options.js';
export { LmdbStorage } from './storage/lmdb.js';
export { StorageInUse, StorageLost } from './storage/lock.js';
export { MemoryStorage } from './storage/memory.js';
export { PostgresStorage } from './storage/postgres.js';
export { RedisStorage } from './storage/redis.js';
export * from './storage/storage.js';
