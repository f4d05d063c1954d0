// Where the programs are that tests run as services. Scripts and tests share it.
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const HOMEBREW = ['/opt/homebrew', '/usr/local', '/home/linuxbrew/.linuxbrew'];

/** The folder with `initdb`, `postgres` and `pg_basebackup`: the one named in POSTGRES_BIN, or the first that is found. */
export function findPostgres() {
  const named = process.env.POSTGRES_BIN;
  const folders = named ? [named] : [...onPath(), ...debianFolders(), ...homebrewFolders()];
  return folders.find((folder) =>
    ['initdb', 'postgres', 'pg_basebackup'].every((name) => existsSync(join(folder, name))),
  );
}

/** The path of `redis-server`: the one named in REDIS_SERVER, or the first that is found. */
export function findRedis() {
  return findProgram('redis-server', process.env.REDIS_SERVER);
}

/** The path of `nginx`: the one named in NGINX_PATH, or the first that is found. */
export function findNginx() {
  return findProgram('nginx', process.env.NGINX_PATH);
}

/** The path of `haproxy`: the one named in HAPROXY_PATH, or the first that is found. */
export function findHaproxy() {
  return findProgram('haproxy', process.env.HAPROXY_PATH);
}

/** The path of `caddy`: the one named in CADDY_PATH, or the first that is found. */
export function findCaddy() {
  return findProgram('caddy', process.env.CADDY_PATH);
}

/** The path of `pgbouncer`: the one named in PGBOUNCER_PATH, or the first that is found. */
export function findPgbouncer() {
  return findProgram('pgbouncer', process.env.PGBOUNCER_PATH);
}

/** The path of `promtool`, which checks Prometheus's files: the one named in PROMTOOL_PATH, or the first that is found. */
export function findPromtool() {
  return findProgram('promtool', process.env.PROMTOOL_PATH);
}

/** The path of Chromium without windows: the one named in CHROMIUM_SHELL_PATH, or the first that is found. */
export function findChromiumShell() {
  const named = process.env.CHROMIUM_SHELL_PATH;
  if (named) return findProgram('', named);
  return findProgram('chromium-headless-shell') ?? findProgram('chrome-headless-shell');
}

/** The path of `firefox-esr`: the one named in FIREFOX_PATH, or the first that is found. */
export function findFirefox() {
  return findProgram('firefox-esr', process.env.FIREFOX_PATH);
}

/** The path of `WebKitWebDriver`: the one named in WEBKIT_DRIVER_PATH, or the first that is found. */
export function findWebKitDriver() {
  return findProgram('WebKitWebDriver', process.env.WEBKIT_DRIVER_PATH);
}

/** The path of `Xvfb`, a display without a screen: the one named in XVFB_PATH, or the first that is found. */
export function findXvfb() {
  return findProgram('Xvfb', process.env.XVFB_PATH);
}

/** The path of a program: the one that is named, or the first that is found. */
export function findProgram(name, named) {
  // A user's PATH often leaves out the folders of servers.
  const servers = ['/usr/bin', '/usr/sbin', '/usr/local/sbin', '/usr/local/nginx/sbin'];
  const folders = [...onPath(), ...servers, ...HOMEBREW.map((folder) => join(folder, 'bin'))];
  const paths = named ? [named] : folders.map((folder) => join(folder, name));
  return paths.find((path) => existsSync(path));
}

function onPath() {
  return (process.env.PATH ?? '').split(delimiter).filter(Boolean);
}

/** Debian keeps them out of the way, one folder a version. */
function debianFolders() {
  const versions = '/usr/lib/postgresql';
  return list(versions, /^\d+/).map((version) => join(versions, version, 'bin'));
}

function homebrewFolders() {
  return HOMEBREW.flatMap((folder) =>
    list(join(folder, 'opt'), /^postgresql(@\d+)?$/).map((name) =>
      join(folder, 'opt', name, 'bin'),
    ),
  );
}

/** Newest first. */
function list(folder, pattern) {
  if (!existsSync(folder)) return [];
  const version = (name) => Number(/\d+/.exec(name)?.[0] ?? 0);
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort((a, b) => version(b) - version(a));
}
