/** What the server answers over plain HTTP: its health, metrics, what an administrator may do, and a folder of static files. */
import { serveStatic } from '@hono/node-server/serve-static';
import { Hono } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
import { type AdminOptions, adminRoutes } from './admin.js';

export interface HttpOptions extends AdminOptions {
  /** Whether rooms can be opened now. */
  readonly isReady: () => boolean;
  /** Folder of a built web app; paths without a file in it get its index.html. */
  readonly staticDir: string | undefined;
  readonly onError: (error: unknown) => void;
}

export function httpApp({ isReady, staticDir, onError, ...admin }: HttpOptions): Hono {
  const app = new Hono();
  // Whether all of a host and its subdomains speak TLS is for the proxy in front to say.
  app.use(secureHeaders({ strictTransportSecurity: false }));
  // Such as a body that is not sent to its end: nobody is there to be answered.
  app.onError((error, c) => {
    onError(error);
    return c.text('internal error\n', 500);
  });
  app.get('/health', (c) => (isReady() ? c.text('ok\n') : c.text('not ready\n', 503)));
  adminRoutes(app, admin);
  if (staticDir !== undefined) {
    app.use('/assets/*', async (c, next) => {
      await next();
      // The build puts a hash of the content into these names.
      if (c.res.ok) c.header('Cache-Control', 'public, max-age=31536000, immutable');
    });
    app.use(serveStatic({ root: staticDir }));
    app.get('/assets/*', (c) => c.notFound());
    app.get('*', serveStatic({ root: staticDir, path: 'index.html' }));
  }
  return app;
}
