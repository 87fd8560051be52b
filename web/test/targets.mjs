// A person's path through Targets.
//   SCRAPING   a server that scrapes a pool fixed, of which a target is up and one dropped, and a pool gone
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { accessible, clean, env, equal, looks, open, shot, step, withBrowser } from './lib.mjs'

const pool = (page, name) => page.getByRole('region', { name, exact: true })

await withBrowser(async (browser) => {
  const url = env('SCRAPING')
  await step('the tab is there, and says what is up and what fails', async () => {
    const page = await open(browser, `${url}/ui/health`)
    await page.getByRole('link', { name: 'Targets' }).click()
    await pool(page, 'fixed').getByText('1 of 1 target up, 1 dropped by relabelling').waitFor()
    await pool(page, 'fixed').getByText('every 1s').waitFor()
    await pool(page, 'gone').getByText('connection refused').waitFor()
    await accessible(page, 'the targets')
    await shot(page, 'targets-light')
    clean(page)
    await page.context().close()
  })
  await step('by the keyboard: only those that are down, then a search', async () => {
    const page = await open(browser, `${url}/ui/targets`)
    await pool(page, 'fixed').waitFor()
    await page.getByLabel('Only those that are not up').focus()
    await page.keyboard.press('Space')
    await pool(page, 'fixed').waitFor({ state: 'detached' })
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.type('nonesuch')
    await page.getByText('Every target that fits is up.').waitFor()
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.type('refused')
    await pool(page, 'gone').waitFor()
    equal(new URL(page.url()).searchParams.get('q'), 'refused', 'the address')
    clean(page)
    await page.context().close()
  })
  await step('both themes, and as wide as a phone', async () => {
    await looks(browser, `${url}/ui/targets`, 'targets', (p) => pool(p, 'gone').getByText('connection refused').waitFor())
  })
})
console.log('done')
