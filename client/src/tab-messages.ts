/** What the tabs that share a room say to each other. Types only. */
import type { Change } from './change.js';
import type { CowriteStatus, Refusal, Rejection } from './options.js';
import type { Access, RejectReason } from './protocol/index.js';

/** How things are with the server. */
export interface View {
  readonly status: CowriteStatus;
  readonly nextRetryAt: Date | null;
  readonly refusal: Refusal | null;
  readonly unsaved: boolean;
  readonly rejection: RejectReason | null;
  readonly access: Access;
  /** Whether all of it is in the browser's offline copy, so that nothing is lost with the pages. */
  readonly isKept: boolean;
  /** Whether the document holds all that was in that copy. */
  readonly isCopyRead: boolean;
}

/** What a tab that has no socket passes on to the one that has: reasons to try at once. */
export type Nudge = 'connect' | 'visible' | 'networkUp' | 'due';

type Numbers = ReadonlyMap<string, number>;

export interface State extends View {
  /** The number of the last edit that the holder has of each tab. */
  readonly heard: Numbers;
}

export type Message =
  /** A tab is new, or there is a new holder: the holder answers with `welcome`. */
  | {
      readonly type: 'hello';
      readonly client: number;
      readonly stateVector: Uint8Array;
      readonly people: Uint8Array;
    }
  | {
      readonly type: 'welcome';
      readonly to: string;
      readonly members: ReadonlyMap<string, number>;
      readonly update: Uint8Array;
      readonly stateVector: Uint8Array;
      readonly people: Uint8Array;
      readonly state: State;
      /** What of the document the holder does not know to be saved. */
      readonly unsavedChange: Change;
    }
  | { readonly type: 'holding'; readonly client: number }
  | { readonly type: 'bye' }
  | { readonly type: 'gone'; readonly id: string }
  | { readonly type: 'edit'; readonly number: number; readonly update: Uint8Array }
  /** From the server, or what takes a refused edit back: nothing that the server lacks. */
  | { readonly type: 'update'; readonly update: Uint8Array }
  | { readonly type: 'people'; readonly update: Uint8Array }
  | { readonly type: 'state'; readonly state: State }
  | { readonly type: 'nudge'; readonly nudge: Nudge }
  | { readonly type: 'rejected'; readonly rejection: Rejection };

/** A message, and of which document of the room's name it is; null if its tab does not know. */
export type Said = Message & { readonly generation: number | null };
