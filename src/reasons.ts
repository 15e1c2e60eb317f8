import type { ConfiguredSecret } from './config.ts';
import { humanDuration } from './duration.ts';
import type { ConflictReason, DueReason } from './plan.ts';

/** Why a Secret is written, in words for the report. */
export function describeDue(reason: DueReason, now: Date): string {
  switch (reason.kind) {
    case 'missing':
      return '';
    case 'aging':
      return 'a third of its life is over';
    case 'requested':
      return 'asked for by --force-renew';
    case 'reconfigured':
      return 'the configuration has changed';
    case 'incomplete':
      return reason.registries.length > 0
        ? `lacked ${reason.registries.join(', ')}`
        : 'an earlier run could not renew all of it';
    case 'expired':
      return `had expired ${humanDuration(now.getTime() - reason.since.getTime())} ago`;
    case 'drifted':
      return `data was changed by ${names(reason.managers)}`;
    case 'taken-over':
      return `taken over from ${names(reason.managers)} (onConflict: force)`;
  }
}

/** Why a Secret is left alone and what the operator can do, in words for the report. */
export function describeConflict(reason: ConflictReason, { name }: ConfiguredSecret): string {
  switch (reason.kind) {
    case 'foreign':
      return `a Secret ${name} belongs to ${names(reason.managers)}; choose another name`;
    case 'instance':
      return `a Secret ${name} belongs to the installation ${reason.instance}; choose another name`;
  }
}

function names(managers: readonly string[]): string {
  return managers.length > 0 ? managers.join(', ') : 'somebody else';
}
