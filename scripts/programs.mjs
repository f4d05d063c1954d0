// Finds the programs that tests run as services, a Postgres, a Redis, an nginx, a HAProxy and a PgBouncer,
// or installs them; and a Caddy and Prometheus's, a Firefox and a WebKit, without which some tests
// are left out.
// Tests start their own, on free ports and in temporary folders; what a package would start by
// itself stays off.
import { existsSync } from 'node:fs';
import {
  findCaddy,
  findChromiumShell,
  findFirefox,
  findHaproxy,
  findNginx,
  findPgbouncer,
  findPostgres,
  findPromtool,
  findRedis,
  findWebKitDriver,
  findXvfb,
} from './find-programs.mjs';
import { Failure, step } from './setup.mjs';

const PROGRAMS = [
  {
    title: 'Postgres',
    variable: 'POSTGRES_BIN',
    find: findPostgres,
    package: 'postgresql',
    named: 'the folder with initdb, postgres and pg_basebackup',
  },
  {
    title: 'Redis',
    variable: 'REDIS_SERVER',
    find: findRedis,
    package: 'redis-server',
    named: 'the path of redis-server',
  },
  {
    title: 'nginx',
    // Not NGINX: in that variable nginx looks for sockets to take over.
    variable: 'NGINX_PATH',
    find: findNginx,
    package: 'nginx',
    named: 'the path of nginx',
  },
  {
    title: 'HAProxy',
    variable: 'HAPROXY_PATH',
    find: findHaproxy,
    package: 'haproxy',
    named: 'the path of haproxy',
  },
  {
    title: 'PgBouncer',
    variable: 'PGBOUNCER_PATH',
    find: findPgbouncer,
    package: 'pgbouncer',
    named: 'the path of pgbouncer',
  },
  {
    title: 'Caddy',
    variable: 'CADDY_PATH',
    find: findCaddy,
    package: 'caddy',
    named: 'the path of caddy',
    // Tests without it are skipped, and say so. Not every Debian or Ubuntu has it.
    isOptional: true,
  },
  {
    title: 'Prometheus',
    variable: 'PROMTOOL_PATH',
    find: findPromtool,
    package: 'prometheus',
    named: 'the path of promtool',
    // Tests without it are skipped, and say so.
    isOptional: true,
  },
];

/** Tests without the others are skipped, and say so. */
const BROWSERS = [
  {
    title: 'Chromium without windows',
    variable: 'CHROMIUM_SHELL_PATH',
    find: findChromiumShell,
    package: 'chromium-headless-shell',
    named: 'the path of chromium-headless-shell',
    // Chromium with windows takes its place, and longer.
    isOptional: true,
  },
  {
    title: 'Firefox',
    variable: 'FIREFOX_PATH',
    find: findFirefox,
    package: 'firefox-esr',
    named: 'the path of firefox-esr',
    isOptional: true,
  },
  {
    title: 'WebKit',
    variable: 'WEBKIT_DRIVER_PATH',
    find: findWebKitDriver,
    package: 'webkit2gtk-driver',
    named: 'the path of WebKitWebDriver',
    isOptional: true,
  },
  {
    title: 'Xvfb',
    variable: 'XVFB_PATH',
    find: findXvfb,
    package: 'xvfb',
    named: 'the path of Xvfb',
    isOptional: true,
  },
];

/** What the services are called in the environment, and where they are. */
export const programs = () => foundOrInstalled(PROGRAMS);

/** The same of the browsers beside Chromium. */
export const browsers = () => foundOrInstalled(BROWSERS);

async function foundOrInstalled(programs) {
  const missing = programs.filter((program) => !program.find());
  for (const { variable, named } of missing) {
    if (!process.env[variable]) continue;
    throw new Failure(`${variable} is ${process.env[variable]}, which is not ${named}.`);
  }
  if (missing.length > 0 && process.getuid?.() === 0 && existsSync('/etc/debian_version')) {
    await install(missing.filter(({ isOptional }) => !isOptional));
    for (const program of missing.filter(({ isOptional }) => isOptional)) {
      try {
        await install([program]);
      } catch (error) {
        console.log(`${error.message}\nGoing on without ${program.title}.`);
      }
    }
  }
  return Object.fromEntries(
    programs.flatMap(({ title, variable, find, named, isOptional }) => {
      const path = find();
      if (path) return [[variable, path]];
      if (isOptional) return [];
      throw new Failure(`No ${title}: install one, or set ${variable} to ${named}.`);
    }),
  );
}

let isUpdated = false;

/** All of them, or none: a package that there is not keeps the others out. */
async function install(wanted) {
  if (wanted.length === 0) return;
  if (!isUpdated) await step('Reading the lists of packages…', 'apt-get', ['update']);
  isUpdated = true;
  const titles = wanted.map(({ title }) => title).join(' and ');
  const packages = wanted.map((program) => program.package);
  await step(`Installing ${titles}…`, 'sh', ['-c', APT, 'sh', ...packages]);
}

/** `policy-rc.d` is Debian's way to install a service without starting it. */
const APT = `
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod +x "$policy"
fi
clusters=/etc/postgresql-common/createcluster.conf
if [ ! -e "$clusters" ]; then
  mkdir -p "\${clusters%/*}"
  echo 'create_main_cluster = false' > "$clusters"
fi
apt-get install -y --no-install-recommends "$@"
`;
