/** Requests that come behind each other on one connection, as raw bytes. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { inTurn } from './in-turn.js';

/** A server that answers when it is told to, and a connection to it. */
async function slowServer() {
  const begun: { readonly url: string; readonly response: ServerResponse }[] = [];
  const server = createServer(
    inTurn(({ url = '' }, response) => void begun.push({ url, response })),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    begun,
    async open(): Promise<Socket> {
      const socket = connect(port, '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    },
  };
}

const requests = (count: number) =>
  Array.from({ length: count }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');

it('[LIM-22] those of one connection are answered one after the other, and others meanwhile', async () => {
  const { begun, open } = await slowServer();
  const urls = () => begun.map(({ url }) => url);
  const socket = await open();
  let heard = '';
  socket.setEncoding('latin1').on('data', (text) => (heard += text));
  socket.write(requests(3));
  await vi.waitFor(() => expect(urls()).toEqual(['/0']));
  (await open()).write('GET /other HTTP/1.1\r\nHost: a\r\n\r\n');
  await vi.waitFor(() => expect(urls()).toEqual(['/0', '/other']));
  begun[0]!.response.end('first');
  await vi.waitFor(() => expect(urls()).toEqual(['/0', '/other', '/1']));
  begun[2]!.response.end('second');
  await vi.waitFor(() => expect(urls()).toEqual(['/0', '/other', '/1', '/2']));
  begun[3]!.response.end('third');
  await vi.waitFor(() => expect(heard).toMatch(/first.*second.*third/s));
  // And those that come later.
  socket.write(requests(1));
  await vi.waitFor(() => expect(urls().length).toBe(5));
});

it('[LIM-22] a connection with more than a hundred of them waiting is cut off, and none of them begins', async () => {
  const { begun, open } = await slowServer();
  const patient = await open();
  patient.write(requests(101));
  const greedy = await open();
  greedy.write(requests(102));
  await once(greedy, 'close');
  expect(patient.destroyed).toBe(false);
  await vi.waitFor(() => expect(begun.length).toBe(2));
});
