export function findPostgres(): string | undefined;
export function findRedis(): string | undefined;
export function findNginx(): string | undefined;
export function findHaproxy(): string | undefined;
export function findCaddy(): string | undefined;
export function findPgbouncer(): string | undefined;
export function findPromtool(): string | undefined;
export function findProgram(name: string, named?: string): string | undefined;
