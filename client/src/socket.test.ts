import { describe, expect, test } from 'vitest';
import { FakeNetwork } from '../test/fake-socket.js';
import { Socket } from './socket.js';

function setUp() {
  const network = new FakeNetwork();
  const heard: string[] = [];
  const socket = new Socket(network.WebSocket, {
    opened: (protocol) => heard.push(`opened ${protocol}`),
    frame: (frame) => heard.push(`frame ${frame === null ? 'text' : [...frame]}`),
    failed: (error) => heard.push(`failed ${error.message}`),
    closed: (code, reason) => heard.push(`closed ${code} ${reason}`),
  });
  return { network, heard, socket };
}

describe('[CLI-5] the live socket', () => {
  test('is heard', () => {
    const { network, heard, socket } = setUp();
    socket.open('ws://host/a', ['p']);
    expect(network.last).toMatchObject({ url: 'ws://host/a', protocols: ['p'] });
    expect(network.last.binaryType).toBe('arraybuffer');
    network.last.accept();
    network.last.sayBytes(Uint8Array.of(1, 2));
    network.last.sayText('text');
    network.last.fail(new Error('refused'));
    network.last.drop(1006, 'gone');
    expect(heard).toEqual([
      'opened p',
      'frame 1,2',
      'frame text',
      'failed refused',
      'closed 1006 gone',
    ]);
  });

  test('is sent to only while it is open', () => {
    const { network, socket } = setUp();
    const frame = Uint8Array.of(3);
    expect(socket.send(frame)).toBe(false);
    socket.open('ws://host/a', []);
    expect(socket.send(frame)).toBe(false);
    network.last.accept();
    expect(socket.isOpen).toBe(true);
    expect(socket.send(frame)).toBe(true);
    socket.close(1000, '');
    expect(socket.isOpen).toBe(false);
    expect(socket.send(frame)).toBe(false);
    expect(network.last.sent).toEqual([{ type: 'queryAwareness' }]);
  });
});

describe('[CLI-5] an orphan', () => {
  test('of close() is closed and not heard again, however late', () => {
    const { network, heard, socket } = setUp();
    socket.open('ws://host/a', []);
    socket.close(4000, 'silent');
    const orphan = network.last;
    expect(orphan.closedWith).toEqual({ code: 4000, reason: 'silent' });
    orphan.accept();
    orphan.sayBytes(Uint8Array.of(1));
    orphan.fail();
    orphan.drop();
    expect(heard).toEqual([]);
    expect(socket.isOpen).toBe(false);
  });

  test('does not end its successor', () => {
    const { network, heard, socket } = setUp();
    socket.open('ws://host/a', []);
    const orphan = network.last;
    socket.close(1000, '');
    socket.open('ws://host/a', ['q']);
    network.last.accept();
    orphan.drop();
    expect(socket.isOpen).toBe(true);
    expect(heard).toEqual(['opened q']);
  });

  test('is made of a live socket by a second open', () => {
    const { network, socket } = setUp();
    socket.open('ws://host/a', []);
    socket.open('ws://host/b', []);
    expect(network.live.map(({ url }) => url)).toEqual(['ws://host/b']);
  });
});

test('a constructor that throws leaves no socket behind', () => {
  const failing = class {
    constructor() {
      throw new Error('insecure');
    }
  };
  const socket = new Socket(failing as never, {} as never);
  expect(() => socket.open('ws://host/a', [])).toThrow('insecure');
  expect(socket.isOpen).toBe(false);
  socket.close(1000, '');
});
