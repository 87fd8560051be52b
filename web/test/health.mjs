// A person's path through Ingest and health.
//   URL        a server with the data of internal/e2e/page_test.go that has refused a sample
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { accessible, check, clean, env, equal, looks, open, shot, step, withBrowser } from './lib.mjs'

/** A query that runs for many seconds. */
const slow = 'quantile_over_time(0.5, quantile_over_time(0.5, vector(time())[1h:1s])[200h:1s])'

await withBrowser(async (browser) => {
  const url = env('URL')
  const page = await open(browser, `${url}/ui/explore`)
  await step('what comes in and what is refused', async () => {
    await page.getByRole('link', { name: 'Ingest & health' }).click()
    await page.getByText('The server is healthy').waitFor()
    const door = page.getByRole('region', { name: 'Doors' }).getByRole('row').filter({ hasText: 'remote_write' })
    check(Number((await door.first().getByRole('cell').nth(2).textContent()).replaceAll(',', '')) > 200_000, 'samples of remote write')
    await page.getByText('at the door').first().click()
    await page.getByText('the value is no number').waitFor()
    await accessible(page, 'the health')
    await shot(page, 'health-light')
  })
  await step('the storage', async () => {
    await page.getByRole('link', { name: 'Storage', exact: true }).click()
    await page.getByRole('region', { name: 'Tiers', exact: true }).getByText('raw').waitFor()
    await page.getByRole('region', { name: 'Roll-ups', exact: true }).getByText('1m').waitFor()
    await page.getByRole('region', { name: 'Background work' }).getByText('merge', { exact: true }).waitFor()
    await accessible(page, 'the storage')
    await shot(page, 'storage-light')
  })
  await step('a query that takes long is cancelled', async () => {
    const asker = await open(browser, `${url}/ui/explore?q=${encodeURIComponent(slow)}&tab=table`, { expected: ['status of 499'] })
    await page.getByRole('link', { name: 'Queries', exact: true }).click()
    await page.getByRole('region', { name: 'Running queries' }).getByText('quantile_over_time').waitFor()
    await accessible(page, 'the queries')
    await shot(page, 'queries-light')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await asker.getByText('an administrator has cancelled the query').waitFor()
    await page.getByText('No query runs at the moment.').waitFor()
    clean(asker)
    await asker.context().close()
    await page.getByRole('region', { name: 'Top queries since the start' }).getByRole('button', { name: 'Samples', exact: true }).first().click()
    const table = page.getByRole('region', { name: 'Table of queries' })
    await table.getByText('quantile_over_time').first().waitFor()
    equal(await table.getByText('asked by the page').count(), 0, 'queries of the page among those of users')
    await page.getByLabel('Those of the page itself, too').check()
    await table.getByText('asked by the page').first().waitFor()
  })
  await step('the settings', async () => {
    await page.getByRole('link', { name: 'Settings', exact: true }).click()
    await page.getByRole('searchbox', { name: 'Find a setting' }).fill('max-samples')
    await page.getByRole('row').filter({ hasText: '--query.max-samples' }).first().getByText('2000000').waitFor()
    await page.getByText('query.max-samples: "2000000"').waitFor()
    await accessible(page, 'the settings')
    clean(page)
    await page.context().close()
  })
  await step('who is no administrator is not offered to cancel', async () => {
    const p = await open(browser, `${url}/ui/health?s=settings`, { headers: { 'X-Forwarded-For': '192.0.2.1' } })
    await p.getByText('You may read and query').waitFor()
    await p.getByRole('link', { name: 'Queries', exact: true }).click()
    await p.getByText('No query runs at the moment.').waitFor()
    equal(await p.getByRole('button', { name: 'Cancel' }).count(), 0, 'offers to cancel')
    clean(p)
    await p.context().close()
  })
  await step('a server that does not scrape has no tab of targets', async () => {
    const p = await open(browser, `${url}/ui/health`)
    await p.getByText('The server is healthy').waitFor()
    equal(await p.getByRole('link', { name: 'Targets' }).count(), 0, 'tabs of targets')
    clean(p)
    await p.context().close()
  })
  await step('both themes, and as wide as a phone', async () => {
    await looks(browser, `${url}/ui/health`, 'health', (p) => p.getByText('at the door').first().waitFor())
    await looks(browser, `${url}/ui/health?s=storage`, 'storage', (p) => p.getByText('merge', { exact: true }).waitFor())
    await looks(browser, `${url}/ui/health?s=queries`, 'queries', (p) => p.getByRole('region', { name: 'Table of queries' }).getByText('quantile_over_time').first().waitFor())
    await looks(browser, `${url}/ui/health?s=settings`, 'settings', (p) => p.getByRole('row').filter({ hasText: '--query.max-samples' }).first().waitFor())
  })
})
console.log('done')
