/** What a name and a password must be, told before the form is sent. The API has the last word. */
export interface NameLimits {
  name_chars_min: number;
  name_chars_max: number;
  password_chars_min: number;
}

export const defaultLimits: NameLimits = { name_chars_min: 3, name_chars_max: 24, password_chars_min: 8 };

export type NameProblem = 'required' | 'name.short' | 'name.long' | 'name.characters';

export function checkName(name: string, limits: NameLimits): NameProblem | undefined {
  if (name === '') return 'required';
  if (!/^[a-z0-9_]+$/.test(name)) return 'name.characters';
  if (name.length < limits.name_chars_min) return 'name.short';
  if (name.length > limits.name_chars_max) return 'name.long';
  return undefined;
}

export type PasswordProblem = 'required' | 'password.short';

/** Characters as people count them: code points, not UTF-16 units. */
export function checkPassword(password: string, limits: NameLimits): PasswordProblem | undefined {
  if (password === '') return 'required';
  if ([...password].length < limits.password_chars_min) return 'password.short';
  return undefined;
}
