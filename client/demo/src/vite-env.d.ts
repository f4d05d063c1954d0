// What imports of styles and assets mean to TypeScript.
/// <reference types="vite/client" />
