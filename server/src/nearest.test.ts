import { describe, expect, it } from 'vitest';
import { editDistance, nearestNames } from './nearest.js';
import { settings } from './settings.js';

const NAMES = settings().map(({ name }) => name);

/** What is often there: of shells, CI, containers, clouds, proxies, other programs and Kubernetes's Services. */
const OF_OTHERS = `
HOME HOSTNAME HOSTTYPE PATH PWD OLDPWD SHELL SHLVL TERM USER USERNAME LOGNAME LANG LC_ALL TZ MAIL EDITOR
PAGER DISPLAY XAUTHORITY SSH_AUTH_SOCK SSH_CLIENT LS_COLORS TMPDIR TEMP INVOCATION_ID JOURNAL_STREAM
STATE_DIRECTORY RUNTIME_DIRECTORY NOTIFY_SOCKET MAINPID CI NODE_ENV NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS
npm_config_loglevel npm_config_user_agent npm_package_name npm_lifecycle_event INIT_CWD http_proxy HTTPS_PROXY
NO_PROXY ALL_PROXY DATABASE_URL POSTGRES_URL POSTGRES_PASSWORD PGHOST PGPORT PGUSER PGPASSWORD PGSSLMODE
REDIS_HOST REDIS_PASSWORD REDIS_TLS_URL REDIS_DB REDIS_SERVER AWS_REGION AWS_SECRET_ACCESS_KEY AUTH_USER
AUTH_TOKEN AUTH_KEY LOG_FILE LOG_DIR LOG_PATH METRICS_PATH STATIC_URL STATIC_ROOT ALLOWED_HOSTS ADMIN_USER
ADMIN_EMAIL ADMIN_PASSWORD STORAGE_DIR STORAGE_KEY MAX_OLD_SPACE_SIZE WEB_CONCURRENCY DYNO FLY_REGION
KUBERNETES_PORT KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT_HTTPS METRICS_SERVICE_HOST METRICS_SERVICE_PORT
METRICS_PORT_9090_TCP_PORT COWRITE_SERVICE_HOST COWRITE_SERVICE_PORT REDIS_SERVICE_HOST REDIS_PORT_6379_TCP_ADDR
OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME JWT_SECRET SESSION_SECRET VITE_PORT APP_URL BASE_URL
`;

describe('[CFG] names near a setting', () => {
  it('[CFG-9] are found in every way in which one is misspelt', () => {
    for (const [written, ...meant] of [
      ['MAX_CONECTIONS', 'MAX_CONNECTIONS'],
      ['MAX_CONNECTION', 'MAX_CONNECTIONS'],
      ['MAXCONNECTIONS', 'MAX_CONNECTIONS'],
      ['MAX-CONNECTIONS', 'MAX_CONNECTIONS'],
      ['max_connections', 'MAX_CONNECTIONS'],
      ['COWRITE_MAX_CONNECTIONS', 'MAX_CONNECTIONS'],
      ['COWRITE_PORT', 'PORT'],
      ['MAX_CONNECTIONS_PER_IP', 'MAX_CONNECTIONS_PER_ADDRESS', 'MAX_CONNECTIONS_PER_USER'],
      ['MAX_CONNECTIONS_PER_USERS', 'MAX_CONNECTIONS_PER_USER'],
      ['MAX_DOCUMENT_SIZE', 'MAX_DOCUMENT_BYTES'],
      ['AUTH_CLOCK_SKEW', 'AUTH_CLOCK_TOLERANCE'],
      ['ALLOWED_ORIGIN', 'ALLOWED_ORIGINS'],
      ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
      ['STORAGE_ULR', 'STORAGE_URL'],
      ['STORE_URL', 'STORAGE_URL'],
      ['REDIS_URI', 'REDIS_URL'],
      ['AUTH_SECERT', 'AUTH_SECRET'],
      ['ADMIN_TOKNE', 'ADMIN_TOKEN'],
      ['LOGLEVEL', 'LOG_LEVEL'],
      ['DRAIN_SECOND', 'DRAIN_SECONDS'],
      ['HSOT', 'HOST'],
      ['PRT', 'PORT'],
    ] as const) {
      expect(nearestNames(written, NAMES), written).toEqual(meant);
    }
    // Whatever letter is missing, doubled or has changed places with the next one.
    for (const name of NAMES) {
      for (let i = 0; i < name.length; i++) {
        const [before, letter, rest] = [name.slice(0, i), name[i]!, name.slice(i + 1)];
        for (const written of [
          before + rest,
          before + letter + letter + rest,
          before + (rest[0] ?? '') + letter + rest.slice(1),
        ]) {
          if (!NAMES.includes(written as never)) {
            expect(nearestNames(written, NAMES)).toEqual([name]);
          }
        }
      }
    }
  });

  it('[CFG-9] are not those of other programs', () => {
    for (const name of OF_OTHERS.trim().split(/\s+/)) {
      expect(nearestNames(name, NAMES), name).toEqual([]);
    }
  });

  it('[CFG-9] differ by letters that are missing, added, others or in the other order', () => {
    for (const [a, b, edits] of [
      ['', '', 0],
      ['', 'abc', 3],
      ['abc', 'abc', 0],
      ['abc', 'acb', 1],
      ['abcd', 'badc', 2],
      ['kitten', 'sitting', 3],
    ] as const) {
      expect([editDistance(a, b), editDistance(b, a)]).toEqual([edits, edits]);
    }
  });
});
