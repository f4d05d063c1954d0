import { expect, test, vi } from 'vitest';
import { Emitter } from './emitter.js';

interface Events {
  number: number;
  word: string;
}

class Subject extends Emitter<Events> {
  say(number: number): void {
    this.emit('number', number);
  }

  sayWord(word: string): void {
    this.emit('word', word);
  }

  holding(work: () => void): void {
    this.hold(work);
  }

  end(): void {
    this.closeEmitter();
  }

  wait(isDone: () => boolean, whyNever: () => Error | null): Promise<void> {
    return this.until(['number', 'word'], isDone, whyNever);
  }
}

function setUp() {
  const subject = new Subject();
  const heard: (number | string)[] = [];
  return { subject, heard, hear: (value: number | string) => heard.push(value) };
}

test('on hears every event, once only one, off none', () => {
  const { subject, heard } = setUp();
  const always = (value: number) => heard.push(`on ${value}`);
  subject.on('number', always);
  subject.once('number', (value) => heard.push(`once ${value}`));
  subject.say(1);
  subject.say(2);
  subject.off('number', always);
  subject.say(3);
  expect(heard).toEqual(['on 1', 'once 1', 'on 2']);
});

test('an event caused by a listener comes after the present one, for every listener', () => {
  const { subject, heard } = setUp();
  subject.on('number', (value) => {
    if (value === 1) subject.say(2);
  });
  subject.on('number', (value) => heard.push(value));
  subject.say(1);
  expect(heard).toEqual([1, 2]);
});

test('what is emitted while held is delivered afterwards', () => {
  const { subject, heard, hear } = setUp();
  subject.on('number', hear);
  subject.holding(() => {
    subject.holding(() => subject.say(1));
    expect(heard).toEqual([]);
    subject.say(2);
  });
  expect(heard).toEqual([1, 2]);
});

test('a listener that was removed during the event does not hear it any more', () => {
  const { subject, heard, hear } = setUp();
  subject.on('number', () => subject.off('number', hear));
  subject.on('number', hear);
  subject.say(1);
  expect(heard).toEqual([]);
});

test('a listener that throws is reported as uncaught, and the others still hear', () => {
  const later = vi.spyOn(globalThis, 'queueMicrotask').mockReturnValue(undefined);
  const { subject, heard, hear } = setUp();
  subject.on('number', () => {
    throw new Error('of the application');
  });
  subject.on('number', hear);
  subject.say(1);
  expect(heard).toEqual([1]);
  expect(later.mock.calls[0]?.[0]).toThrow('of the application');
  later.mockRestore();
});

test('after the end, what was emitted before is delivered and nothing else', () => {
  const { subject, heard, hear } = setUp();
  subject.on('number', (value) => {
    if (value === 1) {
      subject.say(2);
      subject.end();
      subject.say(3);
    }
  });
  subject.on('number', hear);
  subject.say(1);
  subject.on('number', hear);
  subject.say(4);
  expect(heard).toEqual([1, 2]);
});

test('until resolves, or rejects, at once or with a later event', async () => {
  const { subject } = setUp();
  await subject.wait(
    () => true,
    () => new Error('not asked'),
  );
  await expect(
    subject.wait(
      () => false,
      () => new Error('never'),
    ),
  ).rejects.toThrow('never');
  let isDone = false;
  const waiting = subject.wait(
    () => isDone,
    () => null,
  );
  subject.say(1);
  isDone = true;
  subject.sayWord('now');
  await waiting;
});
