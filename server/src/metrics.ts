/** What the server counts, in the format of Prometheus. One registry a server, so that several in one process are apart. */
import { Counter, Gauge, Registry } from 'prom-client';
import { LIMIT_NAMES, type LimitName } from './limits.js';

export interface MetricsOptions {
  readonly connections: () => number;
  readonly rooms: () => number;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #limits: Counter<'limit'>;

  constructor({ connections, rooms }: MetricsOptions) {
    const registers = [this.#registry];
    this.#limits = new Counter({
      name: 'cowrite_limits_reached_total',
      help: 'How often a limit was reached, by the limit.',
      labelNames: ['limit'],
      registers,
    });
    // From the beginning, so that the first one is seen as a rise.
    for (const limit of LIMIT_NAMES) this.#limits.inc({ limit }, 0);
    new Gauge({
      name: 'cowrite_connections',
      help: 'Open WebSocket connections.',
      registers,
      collect() {
        this.set(connections());
      },
    });
    new Gauge({
      name: 'cowrite_rooms',
      help: 'Rooms in memory.',
      registers,
      collect() {
        this.set(rooms());
      },
    });
  }

  reached(limit: LimitName): void {
    this.#limits.inc({ limit });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of them, as text. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }
}
