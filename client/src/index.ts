export { guardAwareness } from './awareness-guard.js';
export {
  CowriteClient,
  type CowriteClientOptions,
  type OpenOptions,
  type RoomHandle,
} from './client.js';
export type { Clock, TimerHandle } from './clock.js';
export type { Params } from './endpoint.js';
export { clearOfflineCopies } from './offline-removals.js';
export type {
  CowriteProviderEvents,
  CowriteProviderOptions,
  CowriteStatus,
  RecoverableCopy,
  Refusal,
  Rejection,
  StatusChange,
} from './options.js';
export { type Access, CLOSE, type RefusalReason, type RejectReason } from './protocol/index.js';
export { CowriteProvider } from './provider.js';
export type { Positions } from './safe-state.js';
export type { SocketConstructor, SocketLike } from './socket.js';
export type { TokenSource } from './token.js';
