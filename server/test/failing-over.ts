/** A store that fails over when a test says so, from one in memory to another. */
import { MemoryStorage, type Storage } from '@cowrite/server';

export interface FailingOver {
  readonly storage: Storage;
  /** What is under way rejects. */
  failOver(to: MemoryStorage): void;
  /** Calls of this kind wait from now on, until the store fails over or is told to go on. */
  hold(call: 'append' | 'load' | 'compact'): void;
  goOn(): void;
  /** How many calls wait. */
  readonly held: number;
  /** How many of this kind were answered. */
  calls(call: string): number;
}

export function failingOver(first: MemoryStorage): FailingOver {
  let current = first;
  let primary = { id: 1 };
  let listener: (() => void) | undefined;
  let held = new Set<string>();
  const answered = new Map<string, number>();
  let waiting: { readonly goOn: () => void; readonly reject: (reason: Error) => void }[] = [];
  const storage = new Proxy(first, {
    get(_, name) {
      if (name === 'isShared') return true;
      if (name === 'primary') return primary;
      if (name === 'onFailover') {
        return (call: () => void) => {
          listener = call;
        };
      }
      const member: unknown = Reflect.get(current, name, current);
      if (typeof member !== 'function') return member;
      return async (...args: unknown[]) => {
        const at = primary;
        if (held.has(String(name))) {
          await new Promise<void>((goOn, reject) => waiting.push({ goOn, reject }));
        }
        const result: unknown = await member.apply(current, args);
        if (at !== primary) throw new Error('another server has become the primary');
        answered.set(String(name), (answered.get(String(name)) ?? 0) + 1);
        return result;
      };
    },
  });
  const release = () => {
    const all = waiting;
    waiting = [];
    held = new Set();
    return all;
  };
  return {
    storage,
    failOver(to) {
      current = to;
      primary = { id: primary.id + 1 };
      for (const { reject } of release()) reject(new Error('another server took its place'));
      listener?.();
    },
    hold: (call) => void held.add(call),
    goOn() {
      for (const { goOn } of release()) goOn();
    },
    calls: (call) => answered.get(call) ?? 0,
    get held() {
      return waiting.length;
    },
  };
}

/** What a standby has that follows a store up to now. */
export async function copyOf(store: MemoryStorage, room: string): Promise<MemoryStorage> {
  const copy = new MemoryStorage();
  const { tail } = await store.load(room);
  if (tail.length > 0) await copy.append({ number: 1, appends: [{ room, entries: tail }] });
  return copy;
}
