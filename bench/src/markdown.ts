/** A list under a title; nothing where there is nothing to list. */
export function list(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [title, ...lines.map(line => `- ${line}`)]
}

/** A table whose first column is words and whose others are numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((cell, column) => Math.max(...[cell, ...rows.map(cells => cells[column]!)].map(text => text.length), 3))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? `:${'-'.repeat(width + 1)}` : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [line(head), rule, ...rows.map(line)]
}

/** A part of 1 as whole percents. */
export function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}
