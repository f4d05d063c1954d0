export function findPostgres(): string | undefined;
export function findRedis(): string | undefined;
export function findNginx(): string | undefined;
