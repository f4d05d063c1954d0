/**
 * The metrics on a port of their own, for a collector that has no token: nothing else is there.
 * Where it is for this machine only, it goes by no other name, so that no web page can have a
 * name of its own lead here.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLocalHost, isLoopback } from './auth/origin.js';
import { listenForUpgrades, UPGRADES } from './upgrade-offers.js';

export interface MetricsPortOptions {
  readonly port: number;
  readonly host: string;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly onError: (error: unknown) => void;
}

/** @throws whatever the port says */
export async function openMetricsPort(options: MetricsPortOptions): Promise<MetricsPort> {
  const { port, host } = options;
  const http = createServer(UPGRADES, (request, response) => {
    const isForeign = isLoopback(host) && !isLocalHost(request.headers.host);
    const isKnown = request.method === 'GET' && request.url === '/metrics';
    if (isForeign || !isKnown) response.writeHead(isForeign ? 403 : 404).end();
    else {
      const { metrics, onError } = options;
      metrics.text().then(
        (text) => response.setHeader('Content-Type', metrics.contentType).end(text),
        (error: unknown) => {
          onError(error);
          response.writeHead(500).end();
        },
      );
    }
  });
  // Node would ignore offers by itself, and with them whatever follows on the same socket.
  listenForUpgrades(http, () => false);
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(port, host, () => {
      http.off('error', reject);
      resolve();
    });
  });
  return new MetricsPort(http);
}

export class MetricsPort {
  readonly #http: Server;
  readonly url: string;

  constructor(http: Server) {
    this.#http = http;
    const { address, port, family } = http.address() as AddressInfo;
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/metrics`;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }
}
