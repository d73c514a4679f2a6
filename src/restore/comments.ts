/** What pg_dump says about itself in comments, as far as the file has been read. The version as in "15.2", "17beta1". */
export interface DumpHeader {
  isPgDump: boolean;
  serverVersion?: string;
  /** The closing comment has been seen, and no further dump has begun after it. */
  complete: boolean;
}

export interface TocEntry {
  name: string;
  /** As pg_dump writes it: "TABLE", "TABLE DATA", "FK CONSTRAINT". */
  type: string;
  /** Undefined for what lies in no schema. */
  schema: string | undefined;
  /** "Data for Name: ...": rows, not a definition. */
  dataFor: boolean;
}

/**
 * Reads "Name: film; Type: TABLE; Schema: public; Owner: -", pg_dump's comment on what follows. A name may hold
 * anything but newlines; of what looks like a label, the last one is taken to be it.
 */
export function parseToc(text: string): TocEntry | undefined {
  // "Statistics for Name: ..." is written by pg_dump 18 and newer.
  const [prefix, data] = /^(Data for |Statistics for )?Name: /.exec(text) ?? [];
  const schema = text.lastIndexOf('; Schema: ');
  const type = text.lastIndexOf('; Type: ', schema);
  if (prefix === undefined || schema === -1 || type < prefix.length) return undefined;
  const owner = text.indexOf('; Owner: ', schema);
  const schemaName = text.slice(schema + '; Schema: '.length, owner === -1 ? undefined : owner);
  return {
    name: text.slice(prefix.length, type),
    type: text.slice(type + '; Type: '.length, schema),
    schema: schemaName === '-' ? undefined : schemaName,
    dataFor: data === 'Data for ',
  };
}

/** What the comments of a script have said so far. */
export class Comments {
  readonly header: DumpHeader = { isPgDump: false, complete: false };
  /** The comment by which pg_dump announced what comes now, for `parseToc`. */
  toc: string | undefined;

  note(comment: string): void {
    const { header } = this;
    if (parseToc(comment)) {
      this.toc = comment;
    } else if (/^PostgreSQL database (?:cluster )?dump$/.test(comment)) {
      // Of pg_dumpall's, the databases say so themselves.
      header.isPgDump ||= !comment.includes('cluster');
      header.complete = false;
    } else if (/^PostgreSQL database (?:cluster )?dump complete$/.test(comment)) {
      header.complete = true;
      this.toc = undefined;
    } else {
      const [, version] = /^Dumped from database version (\S+)/.exec(comment) ?? [];
      if (version) header.serverVersion = version;
    }
  }
}
