/** In which forms a document may be asked for, and of which kinds its types may be. */
export const FORMS = ['update', 'json', 'text'] as const;
export const KINDS = ['text', 'delta', 'array', 'map', 'xml'] as const;

export type Form = (typeof FORMS)[number];
export type Kind = (typeof KINDS)[number];
