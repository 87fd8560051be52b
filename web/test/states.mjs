// What every view says and does when the server fails it, for users of all kinds, and by the keyboard.
//   URL        a server with the data of internal/e2e/page_test.go
//   GUARDED    a server with the user ann, whose password is "sea salt"
//   SCRAPING   a server that scrapes
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { accessible, check, clean, env, equal, open, shot, step, withBrowser } from './lib.mjs'

const views = ['explore?q=node_load1', 'metrics', 'metrics?metric=node_load1', 'cardinality', 'health', 'health?s=storage', 'health?s=queries', 'health?s=settings', 'targets']

/** Answers that fail, and what a view then says. */
const failures = [
  { name: 'gone', text: 'The server cannot be reached', answer: (r) => r.abort('connectionrefused') },
  { name: 'overloaded', text: 'The server is not ready', answer: (r) => r.fulfill({ status: 503, json: { status: 'error', errorType: 'unavailable', error: 'too many reads' } }) },
  { name: 'a limit', text: 'The query failed', answer: (r) => r.fulfill({ status: 422, json: { status: 'error', errorType: 'execution', error: 'beyond --query.max-bytes' } }) },
]

await withBrowser(async (browser) => {
  const url = env('URL')
  for (const f of failures) {
    await step(`each view says so: ${f.name}`, async () => {
      const page = await open(browser, `${url}/ui/explore`, { expected: ['Failed to load resource'] })
      await page.route('**/api/v1/**', f.answer)
      await page.route('**/-/healthy', f.answer)
      for (const view of views) {
        await page.goto(`${url}/ui/${view}`)
        await page.getByRole('alert').getByText(f.text).first().waitFor()
        check((await page.getByRole('button', { name: /Try again|Run/ }).count()) > 0, `${view} offers to try again`)
        if (f.name === 'gone' && ['metrics', 'cardinality', 'health'].includes(view)) await accessible(page, `${view}, the server ${f.name}`)
      }
      if (f.name === 'overloaded') await shot(page, 'overloaded-light')
      clean(page)
      await page.context().close()
    })
  }

  for (const [who, name, password] of [
    ['a user', 'ann', 'sea salt'],
    ['a token', '', 'ann:sea salt'],
  ]) {
    await step(`${who} signs in and meets no 403 in any view`, async () => {
      // Through a proxy nobody is an administrator.
      const page = await open(browser, `${env('GUARDED')}/ui/metrics`, { expected: ['status of 401'], headers: { 'X-Forwarded-For': '192.0.2.1' } })
      const refused = []
      page.on('response', (r) => r.status() === 403 && refused.push(r.url()))
      await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
      await page.getByLabel('Name, empty with a token').fill(name)
      await page.getByLabel('Password or token').fill(password)
      const loaded = page.waitForEvent('load') // signing in loads the page again
      await page.keyboard.press('Enter')
      await loaded
      await page.getByRole('button', { name: 'Sign out' }).waitFor()
      for (const view of views) {
        await page.goto(`${env('GUARDED')}/ui/${view}`)
        await page.getByRole('main').getByRole('heading', { level: 1 }).or(page.getByRole('textbox', { name: 'Query A' })).first().waitFor()
        await page.waitForLoadState('networkidle')
        equal(await page.getByRole('button', { name: /Delete|Cancel a|Flush/ }).count(), 0, `buttons of administrators in ${view}`)
      }
      await page.goto(`${env('GUARDED')}/ui/health?s=settings`)
      await page.getByText(`Signed in${name ? ' as ann' : ''}`).waitFor()
      equal(refused, [], 'refused requests')
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('button', { name: 'Sign out' }).waitFor({ state: 'detached' })
      clean(page)
      await page.context().close()
    })
  }

  await step('the keyboard alone leads through the views', async () => {
    const page = await open(browser, `${url}/ui/metrics`)
    /** Presses Tab until the control is reached. */
    const tabTo = async (locator, what) => {
      for (let i = 0; i < 60; i++) {
        if (await locator.evaluate((e) => e === document.activeElement).catch(() => false)) return
        await page.keyboard.press('Tab')
      }
      throw new Error(`Tab does not reach ${what}`)
    }
    await page.getByRole('link', { name: 'node_load1', exact: true }).waitFor()
    await tabTo(page.getByRole('searchbox', { name: 'Name or help contains' }), 'the search of metrics')
    await page.keyboard.type('node_lo')
    await tabTo(page.getByRole('link', { name: 'node_load1', exact: true }), 'a metric')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'node_load1' }).waitFor()

    await page.goto(`${url}/ui/cardinality`)
    await page.getByRole('region', { name: 'Series by metric', exact: true }).waitFor()
    await tabTo(page.getByRole('button', { name: '28 days' }), 'the span of days')
    await page.keyboard.press('Enter')
    await page.waitForURL(/days=28/)
    const menu = page.getByRole('region', { name: 'Series by metric', exact: true }).getByRole('button', { name: /What to do about/ }).first()
    await tabTo(menu, 'the menu of a row')
    await page.keyboard.press('Enter')
    await page.getByRole('menuitem', { name: 'Count only these' }).waitFor()
    await page.keyboard.press('Escape')
    check(await menu.evaluate((e) => e === document.activeElement), 'Escape leads back to the button of the menu')

    await page.goto(`${url}/ui/health`)
    await page.getByText('The server is healthy').waitFor()
    await tabTo(page.getByRole('link', { name: 'Settings', exact: true }), 'the settings')
    await page.keyboard.press('Enter')
    await tabTo(page.getByRole('searchbox', { name: 'Find a setting' }), 'the search of settings')
    await page.keyboard.type('max-samples')
    await page.getByRole('row').filter({ hasText: '--query.max-samples' }).first().waitFor()
    clean(page)
    await page.context().close()
  })
})
console.log('done')
