import { PostgreSQL } from '@codemirror/lang-sql';
import { classHighlighter, highlightCode } from '@lezer/highlight';
import type { ReactNode } from 'react';

/** By the editor's own grammar; the classes tok-... are styled in sql.css, for the editor too. */
export function highlightSql(sql: string): ReactNode[] {
  const parts: ReactNode[] = [];
  const put = (text: string, classes: string) => {
    parts.push(
      classes ? (
        <span key={parts.length} className={classes}>
          {text}
        </span>
      ) : (
        text
      ),
    );
  };
  highlightCode(sql, PostgreSQL.language.parser.parse(sql), classHighlighter, put, () => put('\n', ''));
  return parts;
}
