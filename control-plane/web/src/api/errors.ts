import { t, type Key } from '../i18n/i18n.svelte';
import { en } from '../i18n/en';
import { ApiError } from './client';

/** A failure as people should read it: what happened, why, and what to do. */
export interface Explanation {
  what: string;
  why: string;
  advice: string;
  /** Whether the same call may succeed later without changing anything. */
  passing: boolean;
}

const passingCodes = new Set(['offline', 'timeout', 'unavailable', 'rate_limited', 'limit', 'bad_answer']);

function isKey(key: string): key is Key {
  return key in en;
}

/** The codes that we know are told in the person's language; of others the API's own sentence is the best there is. */
export function explain(what: Key, error: unknown): Explanation {
  if (!(error instanceof ApiError)) {
    return { what: t(what), why: t('error.bad_answer', { status: String(error) }), advice: t('error.bad_answer.advice'), passing: true };
  }
  const why = `error.${error.code}`;
  const advice = `error.${error.code}.advice`;
  const values = { status: error.status, seconds: error.retryAfterS ?? 60 };
  return {
    what: t(what),
    why: isKey(why) ? t(why, values) : error.message,
    advice: isKey(advice) ? t(advice, values) : '',
    passing: passingCodes.has(error.code),
  };
}
