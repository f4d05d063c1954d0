export type { Clock, TimerHandle } from './clock.js';
export type { CloseReason } from './connection.js';
export type { Params } from './endpoint.js';
export type {
  CowriteProviderEvents,
  CowriteProviderOptions,
  CowriteStatus,
  StatusChange,
} from './options.js';
export { type Access, CLOSE, type RejectReason } from './protocol/index.js';
export { CowriteProvider } from './provider.js';
export type { SocketConstructor, SocketLike } from './socket.js';
export type { TokenSource } from './token.js';
