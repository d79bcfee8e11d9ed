// Every entry point that needs no framework type-checks where none is installed.
export * as coatcheck from 'coatcheck'
export * as memory from 'coatcheck/memory'
export * as node from 'coatcheck/node'
export * as sqlite from 'coatcheck/sqlite'
export * as testing from 'coatcheck/testing'
