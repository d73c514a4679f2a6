import { customAlphabet } from 'nanoid';

/** 20 characters of [0-9a-z], 103 bits: safe unquoted in container names, SQL names, URLs and the gateway's user names. */
export const newId: () => string = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 20);
