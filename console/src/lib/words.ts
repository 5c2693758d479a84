// Sentences made from the hub's short codes.

import { t, type MessageKey } from '../i18n';

const known = ['keepalive', 'network', 'takeover', 'disconnect', 'gateway', 'disabled', 'ended', 'restart'] as const;

/** Why a device is offline, as a sentence; empty when the hub gave no reason. */
export function offlineReason(reason: string | undefined): string {
  if (!reason) return '';
  return (known as readonly string[]).includes(reason) ? t(`reason.${reason}` as MessageKey) : t('reason.other', { reason });
}

/** How a listener's security is shown: green, amber, red. What is not known to be safe is not green. */
export function listenerLevel(security: string): 'ok' | 'warn' | 'bad' {
  if (security === 'tls') return 'ok';
  return security.startsWith('unsafe') ? 'bad' : 'warn';
}
