/**
 * A real nginx in front of two servers, with the configuration that is shipped. It adds nothing but
 * the header `X-Served-By`, by which a test sees which of them answered.
 */
import type { Page } from 'playwright';
import { startNginx } from '../server/test/nginx-service.js';
import type { Server } from './fixtures.js';

export class Nginx {
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  /** Resolves once it answers; ends with the running test. */
  static async before(first: Server, second: Server): Promise<Nginx> {
    const names = 'add_header X-Served-By $upstream_addr always;';
    const { url } = await startNginx([first.url, second.url], names);
    return new Nginx(url);
  }

  /** The address of the server that answered a request of now. */
  async serverOfNow(): Promise<string | undefined> {
    const { headers } = await fetch(`${this.url}/health`);
    return servedBy(headers.get('x-served-by'));
  }
}

/** Where the WebSockets of a page were answered, first to last. */
export class Landings {
  readonly all: string[] = [];

  get last(): string | undefined {
    return this.all.at(-1);
  }

  async watch(page: Page): Promise<void> {
    const devtools = await page.context().newCDPSession(page);
    devtools.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
      const { headers } = response;
      const name = Object.keys(headers).find((key) => key.toLowerCase() === 'x-served-by');
      const server = servedBy(name && headers[name]);
      if (response.status === 101 && server !== undefined) this.all.push(server);
    });
    await devtools.send('Network.enable');
  }
}

export function addressOf({ port }: Server): string {
  return `127.0.0.1:${port}`;
}

/** After one that could not be reached the header names the next one, too. */
function servedBy(header: string | null | undefined): string | undefined {
  return header?.split(', ').at(-1);
}
