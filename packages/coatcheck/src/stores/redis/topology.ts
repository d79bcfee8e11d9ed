import type { Run } from './client.ts'

/** A node's view of its Cluster. */
export interface Topology {
  /** A text that stays the same until nodes, roles or slots change, or a slot begins to move. */
  readonly digest: string
  /** The node's own id. */
  readonly own: string
  /** The ids of all masters that own slots. */
  readonly owners: readonly string[]
  /** A part of a key that puts it into a slot of this very node. */
  readonly tag: string
}

/** Asks a node how it sees its Cluster. */
export async function topologyOf(run: Run): Promise<Topology> {
  return parseTopology(String(await run(['CLUSTER', 'NODES'])))
}

/**
 * What `CLUSTER NODES` says, without what changes all the time (pings, pongs, links): id, address, flags, master, epoch
 * and slots are kept, and with the node's own slots the marks of those that are moving.
 */
export function parseTopology(text: string): Topology {
  const nodes = text.trim().split('\n').map(parseNode)
  const own = nodes.find(node => node.flags.includes('myself'))
  const owners = nodes.filter(node => node.flags.includes('master') && node.slots.length > 0)
  const stable = nodes.map(({ id, address, flags, master, epoch, slots }) =>
    [id, address, flags, master, epoch, ...slots].join(' '),
  )
  return {
    digest: stable.sort().join('\n'),
    own: own?.id ?? '',
    owners: owners.map(({ id }) => id),
    tag: tagIn(own?.slots ?? []),
  }
}

function parseNode(line: string) {
  const [id = '', address = '', flags = '', master = '', _ping, _pong, epoch = '', _link, ...slots] = line.trim().split(' ')
  return { id, address, flags: flags.split(','), master, epoch, slots }
}

/** The first tag whose slot is among these ranges (`5`, `0-5460`; those in brackets are on the move). */
function tagIn(ranges: readonly string[]): string {
  const owned = ranges.filter(range => !range.startsWith('[')).map(range => range.split('-').map(Number))
  const isOwned = (slot: number) => owned.some(([first = -1, last = first]) => first <= slot && slot <= last)
  for (let n = 0; n < MOST_TAGS; n++) if (isOwned(slotOf(String(n)))) return `{${n}}`
  throw new Error('The node owns no slot.')
}

/** A node of a single slot is found after 16,384 tries on average. */
const MOST_TAGS = 500_000
const SLOTS = 16_384

/** The slot of a text: CRC-16/XMODEM, as the Redis Cluster specification has it. */
export function slotOf(text: string): number {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff
  }
  return crc % SLOTS
}
