import { createColors } from 'picocolors';
import type { Action } from './apply.ts';
import { humanDuration } from './duration.ts';
import type { OutcomeGroup, Report, ReportedRegistry } from './report.ts';

/** How many namespaces are named before the rest is counted. */
const NAMES_SHOWN = 3;

/** How many groups of one object are printed before the rest is counted. */
const GROUPS_SHOWN = 20;

const MARKS: Readonly<Record<Action, string>> = {
  create: '+',
  renew: '~',
  attach: '+',
  fresh: '=',
  skip: '-',
  orphan: '?',
  keep: '!',
  conflict: '!',
  fail: '!',
  stop: '!',
};

/** A report for a person, ending in a line break. */
export function reportText(report: Report, options: { readonly colour: boolean }): string {
  const paint = createColors(options.colour);
  const colours: Readonly<Record<string, (text: string) => string>> = {
    '+': paint.green,
    '~': paint.yellow,
    '!': paint.red,
    '?': paint.yellow,
    '=': paint.dim,
    '-': paint.dim,
  };
  const now = new Date(report.finishedAt);
  const lines = [...registryLines(report.registries, now)];
  for (const { name, groups } of report.secrets) {
    lines.push('', `SECRET ${name} (${countOf(groups)})`, ...groupLines(groups, colours));
  }
  for (const { name, groups } of report.serviceAccounts) {
    lines.push('', `SERVICE ACCOUNT ${name} (${countOf(groups)})`, ...groupLines(groups, colours));
  }
  lines.push('', closingLine(report));
  return `${lines.join('\n')}\n`;
}

function registryLines(registries: readonly ReportedRegistry[], now: Date): readonly string[] {
  const rows = registries.map((row) => [row.credential, row.registry, expiryText(row, now)]);
  return aligned([['CREDENTIAL', 'REGISTRY', 'EXPIRES'], ...rows]);
}

function expiryText({ expiresAt, error, notice }: ReportedRegistry, now: Date): string {
  const remarks = [error, notice].flatMap((remark) => (remark ? [`  ! ${remark}`] : [])).join('');
  if (expiresAt === null || expiresAt === 'never') return `${expiresAt ?? '-'}${remarks}`;
  const left = new Date(expiresAt).getTime() - now.getTime();
  const clock = `${expiresAt.slice(11, 16)} UTC`;
  const when = left > 0 ? `in ${humanDuration(left)}` : `${humanDuration(left)} ago`;
  return `${when} (${clock})${remarks}`;
}

function groupLines(
  groups: readonly OutcomeGroup[],
  colours: Readonly<Record<string, (text: string) => string>>,
): readonly string[] {
  const shown = groups.slice(0, GROUPS_SHOWN);
  const rows = shown.map(({ action, namespaces, count, reason }) => [
    action,
    namespaceText(namespaces, count),
    reason,
  ]);
  const lines = aligned(rows).map((line, index) => {
    const mark = MARKS[shown[index]?.action ?? 'fresh'];
    return `  ${(colours[mark] ?? String)(`${mark} ${line}`)}`;
  });
  const hidden = groups.length - shown.length;
  return hidden > 0 ? [...lines, `  … and ${hidden} more kinds of outcome (--output json)`] : lines;
}

function namespaceText(namespaces: readonly string[], count: number): string {
  if (namespaces.length === 0) return plural(count, 'namespace');
  const named = namespaces.slice(0, NAMES_SHOWN).join(', ');
  return count > NAMES_SHOWN ? `${named} and ${count - NAMES_SHOWN} more` : named;
}

function closingLine({ counts, dryRun, stopped }: Report): string {
  const parts = Object.entries(counts).map(
    ([action, count]) => `${count} ${WORDS[action as Action](dryRun)}`,
  );
  const end = dryRun ? '; nothing was written' : '';
  const all = parts.length > 0 ? parts.join(', ') : 'no target';
  return `${dryRun ? 'dry run: ' : ''}${all}${end}${stopped ? '; stopped early' : ''}`;
}

const WORDS: Readonly<Record<Action, (dryRun: boolean) => string>> = {
  create: (dryRun) => (dryRun ? 'to create' : 'created'),
  renew: (dryRun) => (dryRun ? 'to renew' : 'renewed'),
  attach: (dryRun) => (dryRun ? 'to attach' : 'attached'),
  fresh: () => 'fresh',
  skip: () => 'skipped',
  orphan: () => 'orphaned',
  keep: () => 'kept as they were',
  conflict: () => 'in conflict',
  fail: () => 'failed',
  stop: () => 'not reached',
};

function countOf(groups: readonly OutcomeGroup[]): string {
  return plural(
    groups.reduce((sum, { count }) => sum + count, 0),
    'namespace',
  );
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.min(60, Math.max(...rows.map((row) => row[column]?.length ?? 0))),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
