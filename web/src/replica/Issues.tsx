import type { IssueFieldsFragment } from '../api/generated/graphql.js';
import { formatCount } from '../ui/format.js';

/** Warnings of a restore, oldest first. */
export function Issues({ issues, count }: { issues: readonly IssueFieldsFragment[]; count: number }) {
  return (
    <details className="issues">
      <summary>
        {formatCount(count)} {count === 1 ? 'warning' : 'warnings'}
      </summary>
      <ul>
        {issues.map((issue) => (
          <li key={`${issue.code} ${issue.line} ${issue.message}`}>
            {issue.message}
            <span className="muted">
              {issue.line !== null && ` · line ${formatCount(issue.line)}`}
              {issue.count !== null && issue.count > 1 && ` · ${formatCount(issue.count)} times`}
            </span>
          </li>
        ))}
        {count > issues.length && <li className="muted">and {formatCount(count - issues.length)} more</li>}
      </ul>
    </details>
  );
}
