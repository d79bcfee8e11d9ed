// Every entry point that needs no framework type-checks where none is installed.

export * as auth from '@coatcheck/auth'
export * as memoryLimiter from '@coatcheck/auth/memory'
export * as postgresLimiter from '@coatcheck/auth/postgres'
export * as redisLimiter from '@coatcheck/auth/redis'
export * as sqliteLimiter from '@coatcheck/auth/sqlite'
export * as coatcheck from 'coatcheck'
export * as memcached from 'coatcheck/memcached'
export * as memory from 'coatcheck/memory'
export * as mongo from 'coatcheck/mongo'
export * as node from 'coatcheck/node'
export * as sqlite from 'coatcheck/sqlite'
export * as testing from 'coatcheck/testing'
