import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as unsaved from './unsaved.js';

const { isUnsaved } = unsaved;

const online = (hasContent = false) => unsaved.opened(unsaved.initial(hasContent), true);

describe('[CLI-6] without a connection', () => {
  test('a fresh empty document is not unsaved', () => {
    expect(isUnsaved(unsaved.initial(false))).toBe(false);
  });

  test('content that was there before is unsaved', () => {
    expect(isUnsaved(unsaved.initial(true))).toBe(true);
  });

  test('a change is unsaved', () => {
    expect(isUnsaved(unsaved.changed(unsaved.initial(false)))).toBe(true);
  });
});

describe('[CLI-6] a step 2', () => {
  test('carries what was changed offline, and saves it once reported', () => {
    const sent = unsaved.sentStep2(online(true));
    expect(isUnsaved(sent)).toBe(true);
    expect(isUnsaved(unsaved.reportedSaved(sent, 1))).toBe(false);
  });

  test('that carries nothing is waited for by nobody', () => {
    expect(isUnsaved(unsaved.sentStep2(online()))).toBe(false);
  });

  test('that is not sent yet keeps offline changes unsaved, whatever else is saved', () => {
    const edited = unsaved.sentUpdate(online(true));
    expect(isUnsaved(unsaved.reportedSaved(edited, 1))).toBe(true);
  });

  test('that carries nothing is counted all the same', () => {
    const edited = unsaved.sentUpdate(unsaved.sentStep2(online()));
    expect(isUnsaved(unsaved.reportedSaved(edited, 1))).toBe(true);
    expect(isUnsaved(unsaved.reportedSaved(edited, 2))).toBe(false);
  });
});

describe('[CLI-6] the loss of a socket', () => {
  test('leaves what was under way unsaved, until the next step 2 is saved', () => {
    const again = unsaved.opened(unsaved.sentUpdate(online()), true);
    expect(isUnsaved(again)).toBe(true);
    expect(isUnsaved(unsaved.reportedSaved(unsaved.sentStep2(again), 1))).toBe(false);
  });

  test('leaves what was saved saved', () => {
    const saved = unsaved.reportedSaved(unsaved.sentUpdate(online()), 1);
    expect(isUnsaved(unsaved.opened(saved, true))).toBe(false);
  });
});

describe('[CLI-6] a rejection', () => {
  const rejected = unsaved.reportedRejected(unsaved.sentUpdate(online()), 'read-only', false);

  test('leaves a change that is still there unsaved, whatever is saved after it', () => {
    expect(isUnsaved(rejected)).toBe(true);
    expect(rejected.rejection).toBe('read-only');
    const later = unsaved.reportedSaved(unsaved.sentUpdate(rejected), 2);
    expect(isUnsaved(later)).toBe(true);
  });

  test('is undone when a later step 2 is accepted', () => {
    const again = unsaved.opened(rejected, true);
    expect(again.rejection).toBeNull();
    const saved = unsaved.reportedSaved(unsaved.sentStep2(again), 1);
    expect(isUnsaved(saved)).toBe(false);
  });

  test('of a change that was taken back leaves nothing unsaved once it is passed over', () => {
    const back = unsaved.reportedRejected(unsaved.sentUpdate(online()), 'read-only', true);
    expect(back.rejection).toBe('read-only');
    expect(isUnsaved(back)).toBe(true);
    expect(isUnsaved(unsaved.reportedSaved(back, 1))).toBe(false);
  });
});

describe('[CLI-6] a report', () => {
  test('on a message that was never sent is refused', () => {
    const state = unsaved.sentUpdate(online());
    expect(() => unsaved.reportedSaved(state, 2)).toThrow(unsaved.ImpossibleReport);
    expect(() => unsaved.checkRejected(state, 2)).toThrow(unsaved.ImpossibleReport);
    expect(() => unsaved.checkRejected(state, 0)).toThrow(unsaved.ImpossibleReport);
  });

  test('that is older than the last one changes nothing', () => {
    const state = unsaved.reportedSaved(unsaved.sentUpdate(unsaved.sentUpdate(online())), 2);
    expect(unsaved.reportedSaved(state, 1)).toEqual(state);
  });

  test('of a server that does not speak cowrite.v1 changes nothing', () => {
    const state = unsaved.sentUpdate(unsaved.opened(unsaved.initial(false), false));
    expect(unsaved.reportedSaved(state, 1)).toBe(state);
  });
});

/** The changes that exist, the messages that hold them, and what the server has said. */
class Model {
  state: unsaved.Unsaved;
  isOpen = false;
  readonly changes = new Set<number>();
  readonly onDisk = new Set<number>();
  #reports = false;
  #saved = 0;
  #messages: { readonly holds: readonly number[]; isRejected: boolean }[] = [];

  constructor(hasContent: boolean) {
    this.state = unsaved.initial(hasContent);
    if (hasContent) this.changes.add(0);
  }

  edit(): void {
    const change = this.changes.size;
    this.changes.add(change);
    if (this.isOpen) {
      this.#messages.push({ holds: [change], isRejected: false });
      this.state = unsaved.sentUpdate(this.state);
    } else {
      this.state = unsaved.changed(this.state);
    }
  }

  open(reports: boolean): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.#reports = reports;
    this.#saved = 0;
    this.#messages = [];
    this.state = unsaved.opened(this.state, reports);
  }

  lose(): void {
    this.isOpen = false;
  }

  step2(): void {
    if (!this.isOpen) return;
    this.#messages.push({ holds: [...this.changes], isRejected: false });
    this.state = unsaved.sentStep2(this.state);
  }

  /** @param share which part of the unreported messages, from 0 to 1. */
  save(share: number): void {
    if (!this.isOpen) return;
    const count = this.#saved + Math.round(share * (this.#messages.length - this.#saved));
    this.state = unsaved.reportedSaved(this.state, count);
    if (!this.#reports) return;
    this.#saved = count;
    for (const { holds, isRejected } of this.#messages.slice(0, count)) {
      if (!isRejected) for (const change of holds) this.onDisk.add(change);
    }
  }

  reject(share: number): void {
    const index = this.#saved + Math.floor(share * (this.#messages.length - this.#saved));
    const message = this.#messages[index];
    if (!this.isOpen || message === undefined) return;
    message.isRejected = true;
    if (index + 1 <= this.state.carrying) {
      this.state = unsaved.reportedRejected(this.state, 'read-only', false);
    }
  }
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const action = fc.oneof(
  fc.constant((model: Model) => model.edit()),
  fc.boolean().map((reports) => (model: Model) => model.open(reports)),
  fc.constant((model: Model) => model.lose()),
  fc.constant((model: Model) => model.step2()),
  share.map((value) => (model: Model) => model.save(value)),
  share.map((value) => (model: Model) => model.reject(value)),
);

describe('[CLI-6] whatever happens, in whatever order', () => {
  test('nothing counts as saved that was not reported to be on disk', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(action, { maxLength: 40 }), (hasContent, actions) => {
        const model = new Model(hasContent);
        for (const act of actions) {
          act(model);
          if (!isUnsaved(model.state)) expect(model.onDisk).toEqual(model.changes);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('everything counts as saved after a new socket, a step 2 and its report', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(action, { maxLength: 40 }), (hasContent, actions) => {
        const model = new Model(hasContent);
        for (const act of actions) act(model);
        model.lose();
        model.open(true);
        model.step2();
        model.save(1);
        expect(isUnsaved(model.state)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});
