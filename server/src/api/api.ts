/** The HTTP API with its description, and the pages that go with it. */
import type { HttpBindings } from '@hono/node-server';
import type { Hono } from 'hono';
import { Documents, type DocumentsOptions } from './documents.js';
import { addPages } from './pages.js';
import { Router, type RouterOptions } from './router.js';
import { addRoutes, type RoutesOptions } from './routes.js';

export type ApiOptions = DocumentsOptions & RouterOptions & Omit<RoutesOptions, 'documents'>;

const INFO = {
  openapi: '3.1.0',
  // From where the description is: a proxy may show the server under a path of its own.
  servers: [{ url: '..' }],
  info: {
    title: 'Cowrite',
    version: '1',
    description:
      'For whoever runs the server. Every request brings `Authorization: Bearer <ADMIN_TOKEN>`. A room’s name is percent-encoded. What fails says so as `{"error": {"code", "message"}}`.',
  },
};

export class Api {
  readonly app: Hono<{ Bindings: HttpBindings }>;
  readonly #documents: Documents;

  constructor(options: ApiOptions) {
    const router = new Router(options);
    this.#documents = new Documents(options);
    addRoutes(router, { ...options, documents: this.#documents });
    // Both say only what is published; without an administrator there is nobody to read them.
    if (options.administrator.exists) {
      const description = router.app.getOpenAPI31Document(INFO);
      router.app.get('/api/openapi.json', (c) => c.json(description));
      addPages(router.app);
    }
    this.app = router.app;
  }

  /** Those who watch are told that there is nothing more to see here. */
  close(): void {
    this.#documents.closeWatchers();
  }
}
