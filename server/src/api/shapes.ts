/** What the API answers with, as JSON: for the server, and for the administrator's page. No imports. */

/** A room as this instance has it open. */
export interface OpenHere {
  readonly isOpen: boolean;
  /** Sockets of this instance. */
  readonly sessions: number;
  /** Those whom presence shows, of all instances. */
  readonly people: number;
}

export interface ListedRoom extends OpenHere {
  readonly room: string;
  readonly seq: number;
  readonly snapshotBytes: number;
  readonly isDeleted: boolean;
}

export interface DescribedRoom extends OpenHere {
  readonly room: string;
  /** Where the application shows it; null where nobody has said that, and for a deleted one. */
  readonly address: string | null;
  readonly isDeleted: boolean;
  readonly seq: number;
  /** The seq of the last removal or revival. */
  readonly life: number;
  readonly generation: number;
  readonly snapshot: { seq: number; bytes: number; writtenAt?: string } | null;
  readonly tail: { readonly updates: number; readonly bytes: number };
  readonly quarantined: number;
  /** Why the log is not merged into the snapshot, where a server has found that out; null where nothing is known. */
  readonly merge: {
    readonly problem: 'too-large' | 'too-slow';
    /** Null where only that it is more than there was. */
    readonly needsBytes: number | null;
    /** What there was. */
    readonly memoryBytes: number;
  } | null;
}

export interface ShownPerson {
  readonly client: number;
  readonly state: unknown;
}

/** Somebody in a room, with what the server itself knows of them. */
export interface PresentPerson {
  /** Null for a connection to this server that shows nobody, such as one of a program. */
  readonly client: number | null;
  readonly state: unknown;
  /** Who they are, by their authentication; null where nobody was asked, and for a guest. */
  readonly user: string | null;
  /** When their connection began; null where the server that has it has not told it yet. */
  readonly since: string | null;
  /** The connection's number in the log of this server; null for one to another server. */
  readonly connection: number | null;
}

export interface Page {
  readonly rooms: readonly ListedRoom[];
  /** What to ask for as `after`; null at the end. */
  readonly next: string | null;
  /** Among how many names they were found. */
  readonly looked: number;
}
