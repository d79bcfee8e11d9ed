import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sample } from '../../../test/long.ts'
import { CHROMIUM_ARGS } from '../../../test/services/chromium.ts'
import { service } from '../../../test/services/service.ts'
import { type AppProcess, admin, dataFolder, member, startApp } from './app-process.ts'
import { withoutSessionStore } from './outage.ts'
import { faintTexts, optionsFor, overflowing, takePicture, views } from './screens.ts'

const MAC =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36'
const WINDOWS = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0'
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1'
const IPAD =
  'Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1'

const found = await service('chromium')

describe.skipIf(found.missing)('in a browser', () => {
  const folder = dataFolder()
  let app: AppProcess
  let browser: Browser
  const contexts: BrowserContext[] = []

  beforeAll(async () => {
    app = await startApp(folder.path)
    browser = await chromium.launch({ executablePath: found.url ?? '', args: CHROMIUM_ARGS })
  })
  afterAll(async () => {
    await browser?.close()
    await app?.stop()
    folder.remove()
  })

  /** A browser of its own, without scripts unless asked for: pages must be whole without. */
  async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const context = await browser.newContext({ javaScriptEnabled: false, ...options })
    contexts.push(context)
    return context.newPage()
  }

  async function signIn(page: Page, who: { email: string; password: string }): Promise<void> {
    await page.goto(`${app.url}/login`)
    await page.getByLabel('E-mail address').fill(who.email)
    await page.getByLabel('Password').fill(who.password)
    await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL('**/dashboard')
  }

  test('a person signs up, signs in, sees their devices, signs one out, survives a restart, and signs out', async () => {
    const who = { email: 'ada@example.com', password: 'correct horse battery staple' }
    const mac = await open({ userAgent: MAC })

    await mac.goto(app.url)
    await mac.getByRole('main').getByRole('link', { name: 'Make an account' }).click()
    await mac.getByLabel('E-mail address').fill(who.email)
    await mac.getByLabel('Password').fill(who.password)
    await mac.getByLabel('Keep me signed in').check()
    await mac.getByRole('button', { name: 'Sign up' }).click()
    await mac.waitForURL('**/dashboard')
    await mac.getByRole('button', { name: 'Sign out' }).click()
    expect(await mac.getByRole('status').textContent()).toBe('You have signed out.')

    await mac.goto(`${app.url}/account/sessions`)
    expect(mac.url()).toBe(`${app.url}/login?returnTo=%2Faccount%2Fsessions`)
    await mac.getByLabel('E-mail address').fill(who.email)
    await mac.getByLabel('Password').fill(who.password)
    await mac.getByLabel('Keep me signed in').check()
    await mac.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
    expect(mac.url()).toBe(`${app.url}/account/sessions`)

    const windows = await open({ userAgent: WINDOWS })
    await signIn(windows, who)
    await mac.reload()
    const names = await mac.getByRole('listitem').getByRole('heading').allTextContents()
    expect(names).toEqual(['Chrome on macOS This device', 'Firefox on Windows'])

    await mac.getByRole('button', { name: 'Sign out Firefox on Windows' }).click()
    expect(await mac.getByRole('status').textContent()).toBe('Signed out: Firefox on Windows.')
    expect(await mac.getByRole('link', { name: 'change your password' }).getAttribute('href')).toBe('/account/settings')
    await windows.reload()
    expect(windows.url()).toBe(`${app.url}/login?returnTo=%2Fdashboard`)

    const { port } = new URL(app.url)
    expect(await app.stop()).toBe(0)
    app = await startApp(folder.path, { PORT: port })
    await mac.goto(`${app.url}/dashboard`)
    expect(await mac.getByRole('heading', { level: 1 }).textContent()).toBe('Dashboard')

    await mac.getByRole('button', { name: 'Sign out' }).click()
    await mac.goto(`${app.url}/dashboard`)
    expect(mac.url()).toBe(`${app.url}/login?returnTo=%2Fdashboard`)
  })

  test('a person confirms, changes the password, forgets it, resets it, and signs out', { timeout: 60_000 }, async () => {
    const own = dataFolder()
    const short = await startApp(own.path, { FRESH_FOR: '5s' })
    const at = (path: string) => short.url + path
    const [mac, phone] = [await open({ userAgent: MAC }), await open({ userAgent: IPHONE })]
    const press = (name: string) => mac.getByRole('main').getByRole('button', { name, exact: true }).click()
    const who = { email: 'grace@example.com', password: 'correct horse battery staple' }
    const fillIn = async (page: Page, path: string, password: string) => {
      await page.goto(at(path))
      await page.getByLabel('E-mail address').fill(who.email)
      await page.getByLabel('Password').fill(password)
    }
    try {
      await fillIn(mac, '/signup', who.password)
      await press('Sign up')
      await mac.waitForURL('**/dashboard')
      await fillIn(phone, '/login', who.password)
      await phone.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
      await phone.waitForURL('**/dashboard')

      await mac.goto(at('/account/settings'))
      await mac.waitForTimeout(5100)
      await mac.getByRole('textbox', { name: 'E-mail address' }).fill('hopper@example.com')
      await press('Change the address')
      expect(mac.url()).toBe(at('/account/confirm?returnTo=%2Faccount%2Fsettings'))
      await mac.getByLabel('Password').fill(who.password)
      await press('Confirm')
      expect(mac.url()).toBe(at('/account/settings'))
      await mac.getByRole('textbox', { name: 'E-mail address' }).fill('hopper@example.com')
      await press('Change the address')
      expect(await mac.getByRole('status').textContent()).toBe('Your e-mail address has been changed.')
      who.email = 'hopper@example.com'

      await mac.getByLabel('Present password').fill(who.password)
      await mac.getByLabel('New password').fill('a quite different phrase')
      await press('Change the password')
      expect(await mac.getByRole('status').textContent()).toMatch(/^Your password has been changed/)
      await phone.reload()
      expect(phone.url()).toBe(at('/login?returnTo=%2Fdashboard'))

      await phone.getByRole('link', { name: 'Forgot your password?' }).click()
      await phone.getByLabel('E-mail address').fill(who.email)
      await phone.getByRole('button', { name: 'Send the link' }).click()
      expect(await phone.getByRole('status').textContent()).toContain('a link is on its way')
      const mailed = () => short.output.findLast(line => line.startsWith(`Mail to ${who.email}`) && line.includes('/reset?'))
      await expect.poll(mailed).toBeDefined()
      const link = mailed()?.match(/http:\S+/)?.[0] ?? ''
      await phone.goto(at(new URL(link).pathname + new URL(link).search))
      await phone.getByLabel('New password').fill('the third phrase of all')
      await phone.getByRole('button', { name: 'Change the password' }).click()
      expect(await phone.getByRole('status').textContent()).toMatch(/^Your password has been changed/)
      await mac.reload()
      expect(mac.url()).toMatch(/\/login/)

      await fillIn(mac, '/login', 'the third phrase of all')
      await press('Sign in')
      await mac.waitForURL('**/dashboard')
      await mac.getByRole('button', { name: 'Sign out' }).click()
      expect(await mac.getByRole('status').textContent()).toBe('You have signed out.')
    } finally {
      await short.stop()
      own.remove()
    }
  })

  test('an administrator confirms, disables an account, and enables it again', { timeout: 60_000 }, async () => {
    const own = dataFolder()
    const short = await startApp(own.path, { FRESH_FOR: '5s' })
    const [boss, person] = [await open(), await open()]
    const signInAt = async (page: Page, who: { email: string; password: string }) => {
      await page.goto(`${short.url}/login`)
      await page.getByLabel('E-mail address').fill(who.email)
      await page.getByLabel('Password').fill(who.password)
      await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click()
    }
    const press = (name: string) => boss.getByRole('button', { name, exact: true }).click()
    try {
      await signInAt(person, member)
      await person.waitForURL('**/dashboard')
      await signInAt(boss, admin)
      await boss.goto(`${short.url}/admin`)
      await boss.waitForTimeout(5100)
      await press(`Disable ${member.email}`)
      expect(boss.url()).toBe(`${short.url}/account/confirm?returnTo=%2Fadmin`)
      await person.reload()
      expect(person.url()).toBe(`${short.url}/dashboard`)
      await boss.getByLabel('Password').fill(admin.password)
      await press('Confirm')
      await press(`Disable ${member.email}`)
      expect(await boss.getByRole('status').textContent()).toBe(`${member.email} may no longer sign in.`)
      expect(await boss.getByRole('row', { name: member.email }).textContent()).toContain('Disabled')
      await person.reload()
      expect(person.url()).toMatch(/\/login/)
      await signInAt(person, member)
      expect(await person.getByRole('alert').textContent()).toBe('The e-mail address or the password is wrong.')

      await boss.waitForTimeout(5100)
      await press(`Enable ${member.email}`)
      await boss.getByLabel('Password').fill(admin.password)
      await press('Confirm')
      await press(`Enable ${member.email}`)
      expect(await boss.getByRole('status').textContent()).toBe(`${member.email} may sign in again.`)
      await signInAt(person, member)
      await person.waitForURL('**/dashboard')
    } finally {
      await short.stop()
      own.remove()
    }
  })

  test('the back button after a sign-out shows nothing of the person', async () => {
    const page = await open()
    await signIn(page, member)
    await page.getByRole('button', { name: 'Sign out' }).click()
    // Going back while the sign-out is still under way is another story, and Chromium sometimes has no history for it.
    await page.getByText('You have signed out.').waitFor()
    await page.goBack()
    expect(page.url()).toMatch(/\/login/)
    expect(await page.content()).not.toContain(member.email)
  })

  test('everything is reached with the keyboard, and what has the focus is seen', async () => {
    const page = await open()
    await page.goto(`${app.url}/login`)
    const reached: string[] = []
    for (let step = 0; step < 10; step++) {
      await page.keyboard.press('Tab')
      const focused = page.locator(':focus')
      reached.push((await focused.getAttribute('name')) ?? (await focused.textContent()) ?? '')
      expect(await page.evaluate('getComputedStyle(document.activeElement).outlineWidth')).toBe('3px')
    }
    expect(reached).toEqual([
      'Skip to content',
      'Coatcheck',
      'Sign in',
      'Sign up',
      'email',
      'password',
      'remember',
      'Sign in',
      'Make an account',
      'Forgot your password?',
    ])
  })

  test('no page asks another host for anything, sets a cookie for a visitor, or breaks its own policy', async () => {
    const page = await open({ javaScriptEnabled: true })
    const requests: string[] = []
    const complaints: string[] = []
    page.on('request', request => requests.push(new URL(request.url()).origin))
    page.on('console', message => {
      if (!message.text().includes('the server responded with a status of 404')) complaints.push(message.text())
    })
    for (const path of ['/', '/login', '/signup', '/forgot', '/nothing']) await page.goto(app.url + path)
    expect(new Set(requests)).toEqual(new Set([app.url]))
    expect(await page.context().cookies()).toEqual([])
    await signIn(page, member)
    for (const path of ['/dashboard', '/account/sessions', '/account/settings', '/account/confirm'])
      await page.goto(app.url + path)
    expect(complaints).toEqual([])
    expect(new Set(requests)).toEqual(new Set([app.url]))
  })

  describe('each page', () => {
    beforeAll(async () => {
      for (const userAgent of [IPHONE, WINDOWS, IPAD]) {
        for (const who of [member, admin]) await signIn(await open({ userAgent }), who)
      }
      const off = await open()
      await off.goto(`${app.url}/signup`)
      await off.getByLabel('E-mail address').fill('off@example.com')
      await off.getByLabel('Password').fill('correct horse battery staple')
      await off.getByRole('button', { name: 'Sign up' }).click()
      await off.waitForURL('**/dashboard')
    })

    const all = views.map(view => ({ ...view, name: `${view.size}, ${view.scheme}` }))
    test.each(sample('each page', all, ['phone, dark', 'desktop, light']))(
      'fits and is readable: $name',
      { timeout: 60_000 },
      async view => {
        const page = await open({ ...optionsFor(view), javaScriptEnabled: true, userAgent: MAC })
        const main = page.getByRole('main')
        const look = async (name: string) => {
          await page.waitForLoadState()
          await takePicture(page, name, view)
          expect({ name, overflowing: await overflowing(page), faint: await faintTexts(page) }).toEqual({
            name,
            overflowing: [],
            faint: [],
          })
        }
        const submit = (name: string) => main.getByRole('button', { name, exact: true }).click()

        await page.goto(app.url)
        await look('home')
        await page.goto(`${app.url}/nothing`)
        await look('not-found')
        await page.goto(`${app.url}/signup`)
        await look('sign-up')
        await page.getByLabel('E-mail address').fill('no address')
        await submit('Sign up')
        await look('sign-up-refused')
        await page.goto(`${app.url}/login?ended`)
        await look('sign-in')
        await page.getByLabel('E-mail address').fill(member.email)
        await page.getByLabel('Password').fill('wrong')
        await submit('Sign in')
        await look('sign-in-refused')

        await page.goto(`${app.url}/forgot`)
        await look('forgot')
        await page.getByLabel('E-mail address').fill('nobody@example.com')
        await submit('Send the link')
        await look('forgot-sent')
        const hammered = { email: `hammered-${view.size}-${view.scheme}@example.com`, password: 'wrong' }
        for (let tries = 0; tries < 10; tries++) {
          const headers = { Accept: 'application/json', Origin: app.url }
          expect((await page.request.post(`${app.url}/login`, { data: hammered, headers })).status()).toBe(401)
        }
        await page.goto(`${app.url}/login`)
        await page.getByLabel('E-mail address').fill(hammered.email)
        await page.getByLabel('Password').fill(hammered.password)
        await submit('Sign in')
        expect(await page.getByRole('alert').textContent()).toMatch(/^Too many tries/)
        await look('sign-in-throttled')
        await page.goto(`${app.url}/reset?token=used`)
        await page.getByLabel('New password').fill('a quite different phrase')
        await submit('Change the password')
        await look('reset-refused')

        await signIn(page, member)
        await look('dashboard')
        await page.goto(`${app.url}/account/settings`)
        await look('settings')
        await page.getByLabel('Present password').fill(member.password)
        await page.getByLabel('New password').fill('password1')
        await submit('Change the password')
        await look('settings-refused')
        await page.goto(`${app.url}/account/confirm`)
        await look('confirm')
        await page.goto(`${app.url}/account/sessions`)
        await look('devices')
        await submit('Sign out Firefox on Windows')
        await page.getByText('Was that a device').waitFor()
        await look('devices-signed-out')
        await signIn(await open({ userAgent: WINDOWS }), member)
        await page.goto(`${app.url}/admin`)
        await look('forbidden')
        await withoutSessionStore(folder.path, async () => {
          await page.goto(`${app.url}/dashboard`)
          await look('unavailable')
        })
        await page.goto(`${app.url}/dashboard`)

        await signInInstead(page, admin)
        await look('dashboard-admin')
        await page.goto(`${app.url}/admin`)
        await submit('Disable off@example.com')
        await page.getByText('may no longer sign in').waitFor()
        await look('admin-disabled')
        await submit('Enable off@example.com')
        await main.locator('summary').last().click()
        await look('admin')
        await submit('Sign everyone out')
        await look('admin-refused')
      },
    )
  })

  async function signInInstead(page: Page, who: { email: string; password: string }): Promise<void> {
    await page.getByRole('button', { name: 'Sign out', exact: true }).first().click()
    await signIn(page, who)
  }
})
