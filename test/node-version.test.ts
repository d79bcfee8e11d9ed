import { expect, test } from 'vitest'
import workspace from '../package.json' with { type: 'json' }

/** `npm run test:nodes` says which Node it asked for; every other script runs on the one that the repository brings. */
const asked = process.env.EXPECTED_NODE ?? workspace.devDependencies.node.replace(/^\^(\d+).*/, '$1')

test('the tests run on the Node that was asked for', () => {
  expect(`${process.versions.node}.`.startsWith(`${asked}.`)).toBe(true)
})
