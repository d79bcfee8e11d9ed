import { randomUUID } from 'node:crypto'
import { chmodSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

type Role = 'admin' | 'member'

/** A person with an account. */
export interface User {
  readonly id: string
  /** In lower case: what people type differs in case, and means one mailbox. */
  readonly email: string
  readonly passwordHash: string
  readonly role: Role
  /** May not sign in. */
  readonly disabled: boolean
  readonly createdAt: Date
}

export interface NewUser {
  readonly email: string
  readonly passwordHash: string
  readonly role: Role
}

export interface UserPage {
  readonly users: readonly User[]
  /** The address to go on after; null when this was the last page. */
  readonly next: string | null
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    created_at INTEGER NOT NULL
  ) STRICT`
const INSERT = `
  INSERT INTO users (id, email, password_hash, role, created_at)
  VALUES (:id, :email, :passwordHash, :role, :createdAt)
  ON CONFLICT (email) DO NOTHING`
const BY_ID = 'SELECT * FROM users WHERE id = ?'
const BY_EMAIL = 'SELECT * FROM users WHERE email = ?'
const SAVE_PASSWORD = 'UPDATE users SET password_hash = :passwordHash WHERE id = :userId AND password_hash IS :replaces'
const CHANGE_EMAIL = 'UPDATE OR IGNORE users SET email = ? WHERE id = ?'
const SET_DISABLED = 'UPDATE users SET disabled = ? WHERE id = ?'
/** Files from before accounts could be disabled lack the column. */
const HAS_DISABLED = "SELECT 1 FROM pragma_table_info('users') WHERE name = 'disabled'"
const ADD_DISABLED = 'ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0'
const DELETE = 'DELETE FROM users WHERE id = ?'
const COUNT = 'SELECT count(*) AS count FROM users'
const PAGE = 'SELECT * FROM users WHERE email > :after AND instr(email, :search) > 0 ORDER BY email LIMIT :limit'

type Row = Record<string, unknown>

/** The app's own accounts, in a file of their own: Coatcheck keeps sessions, never users. */
export class Users {
  readonly #db: DatabaseSync

  /** @param path the file; made if it is not there */
  constructor(path: string) {
    this.#db = new DatabaseSync(path, { timeout: 5000 })
    chmodSync(path, 0o600)
    this.#db.exec('PRAGMA journal_mode = WAL')
    this.#db.exec('PRAGMA synchronous = FULL')
    this.#db.exec(SCHEMA)
    this.#atomically(() => {
      if (this.#db.prepare(HAS_DISABLED).get() === undefined) this.#db.exec(ADD_DISABLED)
    })
  }

  /** The new account, or undefined if the address has one already. */
  add(user: NewUser): User | undefined {
    const id = randomUUID()
    const row = { ...user, id, email: canonicalEmail(user.email), createdAt: Date.now() }
    const { changes } = this.#db.prepare(INSERT).run(row)
    return changes === 1 ? this.byId(id) : undefined
  }

  /** Adds all of them if there is no account at all yet; false if there was one. */
  addFirst(users: readonly NewUser[]): boolean {
    return this.#atomically(() => {
      if (this.count() > 0) return false
      for (const user of users) this.add(user)
      return true
    })
  }

  byId(id: string): User | undefined {
    return this.#one(BY_ID, id)
  }

  byEmail(email: string): User | undefined {
    return this.#one(BY_EMAIL, canonicalEmail(email))
  }

  /** Stores a password string if the stored one is still `replaces`; false if it is not. */
  savePassword(row: { userId: string; passwordHash: string; replaces: string | null }): boolean {
    return this.#db.prepare(SAVE_PASSWORD).run(row).changes === 1
  }

  /** False if another account has the address. */
  changeEmail(id: string, email: string): boolean {
    return this.#db.prepare(CHANGE_EMAIL).run(canonicalEmail(email), id).changes === 1
  }

  setDisabled(id: string, disabled: boolean): void {
    this.#db.prepare(SET_DISABLED).run(disabled ? 1 : 0, id)
  }

  /** False if there was no such account. */
  remove(id: string): boolean {
    return this.#db.prepare(DELETE).run(id).changes === 1
  }

  count(): number {
    return Number(this.#db.prepare(COUNT).get()?.count)
  }

  /** Accounts by address, at most `limit`, whose address holds `search`. */
  page({ after = '', search = '', limit }: { after?: string; search?: string; limit: number }): UserPage {
    const rows = this.#db.prepare(PAGE).all({ after, search: canonicalEmail(search), limit: limit + 1 })
    const users = rows.slice(0, limit).map(toUser)
    return { users, next: rows.length > limit ? (users.at(-1)?.email ?? null) : null }
  }

  close(): void {
    this.#db.close()
  }

  #one(statement: string, key: string): User | undefined {
    const row = this.#db.prepare(statement).get(key)
    return row && toUser(row)
  }

  #atomically<Result>(work: () => Result): Result {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      this.#db.exec('ROLLBACK')
      throw error
    }
  }
}

/** One spelling for each address. */
function canonicalEmail(email: string): string {
  return email.trim().normalize('NFC').toLowerCase()
}

function toUser(row: Row): User {
  return {
    id: String(row.id),
    email: String(row.email),
    passwordHash: String(row.password_hash),
    role: row.role === 'admin' ? 'admin' : 'member',
    disabled: row.disabled === 1,
    createdAt: new Date(Number(row.created_at)),
  }
}
