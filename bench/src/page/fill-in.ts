/** Puts each part between its two markers, `<!-- bench: name -->` and `<!-- /bench -->`. */
export function fillIn(page: string, parts: Readonly<Record<string, string>>): string {
  return page.replace(
    /(<!-- bench: (\w+) -->\n)[\s\S]*?(<!-- \/bench -->)/g,
    (_all, begin: string, name: string, end: string) => {
      const part = parts[name]
      if (part === undefined) throw new Error(`The bench has no figures called ${name}.`)
      return `${begin}${part}\n${end}`
    },
  )
}
