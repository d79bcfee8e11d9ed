export {
  type Auth,
  type ChangeForm,
  createAuth,
  type LoginForm,
  type PasswordForm,
  type ResetForm,
  type SignUpForm,
} from './auth.ts'
export type { AuthEvents, LoginFailure } from './events.ts'
export type { AuthOptions, AuthWeakness, PasswordOptions } from './options.ts'
export type { PasswordPolicy, PasswordProblem, PasswordRefusal } from './passwords/policy.ts'
export type { HashingCost } from './passwords/strength.ts'
export type {
  ChangeResult,
  HashResult,
  Invalid,
  LoginResult,
  ReauthenticateResult,
  RequestResetResult,
  ResetResult,
  SignUpResult,
  Taken,
  Throttled,
  Weak,
} from './results.ts'
export type { Count, Limiter, LimiterOption, RateLimiter, RateLimiterOptions } from './throttle/limiter.ts'
export type { Limit, Limits } from './throttle/limits.ts'
export type { Credentials, PasswordToSave, ResetToSend, Users } from './users.ts'
