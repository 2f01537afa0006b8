/** Who is here, and what this instance is: asked once when the page opens, and again after a failure. */
import { ApiError, call, setCsrf, whenSignedOut, type Instance, type Session, type User } from './client';

let user = $state.raw<User | null>(null);
let instance = $state.raw<Instance | null>(null);
/** `asking` until the first answer; `away` when the API did not answer. */
let phase = $state<'asking' | 'known' | 'away'>('asking');
let reason = $state.raw<ApiError | null>(null);

function take(session: Session): void {
  user = session.user;
  setCsrf(session.csrf);
}

whenSignedOut(() => take({ user: null, csrf: null }));

export const session = {
  get user(): User | null {
    return user;
  },
  get instance(): Instance | null {
    return instance;
  },
  get phase(): 'asking' | 'known' | 'away' {
    return phase;
  },
  get reason(): ApiError | null {
    return reason;
  },

  async open(): Promise<void> {
    try {
      const [who, what] = await Promise.all([call('get', '/session'), call('get', '/instance')]);
      take(who);
      instance = what;
      phase = 'known';
      reason = null;
    } catch (error) {
      if (phase !== 'known') phase = 'away';
      reason = error instanceof ApiError ? error : null;
    }
  },

  async signIn(name: string, password: string): Promise<void> {
    take(await call('post', '/session', { body: { name, password } }));
  },
  async signUp(name: string, password: string): Promise<void> {
    take(await call('post', '/users', { body: { name, password } }));
  },
  async setUp(token: string, name: string, password: string): Promise<void> {
    take(await call('post', '/setup', { body: { token, name, password } }));
    await this.open();
  },
  async changePassword(old: string, fresh: string): Promise<void> {
    take(await call('put', '/me/password', { body: { old, new: fresh } }));
  },
  /** The account and all that it made go for good. */
  async removeAccount(password: string): Promise<void> {
    await call('post', '/me/remove', { body: { password } });
    take({ user: null, csrf: null });
  },
  async signOut(): Promise<void> {
    await call('delete', '/session');
    take({ user: null, csrf: null });
  },
};
