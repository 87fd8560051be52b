// A person's path through Metrics.
//   URL        a server with the data of internal/e2e/page_test.go
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { accessible, answered, check, clean, env, equal, follow, looks, open, shot, step, withBrowser } from './lib.mjs'

await withBrowser(async (browser) => {
  const url = env('URL')
  const page = await open(browser, `${url}/ui/explore`)
  await step('the tab leads to a list of all metrics with what they take', async () => {
    await page.getByRole('link', { name: 'Metrics', exact: true }).click()
    await page.getByRole('link', { name: 'node_load1', exact: true }).waitFor()
    const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'queue_length', exact: true }) })
    equal(await row.getByRole('cell').nth(3).textContent(), '1,000', 'series of queue_length')
    await row.getByText('ago').waitFor()
    check(Number(await row.getByRole('cell').nth(4).textContent()) > 0, `samples a second: ${await row.getByRole('cell').nth(4).textContent()}`)
    await page.getByText('Seconds the CPUs spent in each mode.').waitFor()
    await accessible(page, 'the metrics')
    await shot(page, 'metrics-light')
  })
  await step('sorting, searching, filtering by label and by what nobody asks for', async () => {
    await page.getByRole('button', { name: 'Series', exact: true }).click()
    equal((await page.getByRole('row').nth(1).getByRole('link').textContent()).trim(), 'queue_length', 'the metric with the most series')
    await page.getByRole('searchbox', { name: 'Name or help contains' }).fill('CPUs spent')
    await page.getByText('1 metric').waitFor()
    await page.getByRole('searchbox', { name: 'Name or help contains' }).fill('')
    await page.getByLabel('Labels').fill('job="web"')
    await page.keyboard.press('Enter')
    await page.getByText('2 metrics').waitFor()
    check(page.url().includes('filter='), `the address is ${page.url()}`)
    await page.getByLabel('Never queried').check()
    await page.getByRole('searchbox', { name: 'Name or help contains' }).fill('nonesuch')
    await page.getByText('No metric is like that').waitFor()
    await accessible(page, 'no metric')
    await page.getByRole('button', { name: 'Show all metrics' }).click()
    await page.getByRole('link', { name: 'node_load1', exact: true }).waitFor()
    clean(page)
  })
  await step('a counter gets a rate, compared by a label, and leads to Explore', async () => {
    await page.getByRole('link', { name: 'node_cpu_seconds_total', exact: true }).click()
    await page.getByRole('heading', { name: 'node_cpu_seconds_total' }).waitFor()
    await page.getByRole('img', { name: /^Rate per second: rate \d/ }).waitFor()
    await accessible(page, 'a counter')
    await page.getByRole('listitem').filter({ hasText: 'mode' }).getByRole('button', { name: 'Compare' }).click()
    await page.getByRole('img', { name: /^Rate per second, by mode: .*idle/ }).waitFor()
    equal(await page.locator('.mini-line').count(), 4, 'lines')
    await shot(page, 'metric-light')
    await page.getByRole('region', { name: 'Rate per second, by mode' }).getByRole('link', { name: 'Explore' }).click()
    await page.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    await page.goBack()
    await page.getByRole('heading', { name: 'node_cpu_seconds_total' }).waitFor()
    clean(page)
  })
  await page.context().close()
  await step('histograms, classic and native, get quantiles', async () => {
    const p = await open(browser, `${url}/ui/metrics`, { scheme: 'dark' })
    for (const name of ['http_request_duration_seconds_bucket', 'rpc_seconds']) {
      await follow(p, `metrics?metric=${name}`)
      await p.getByRole('heading', { name, exact: true }).waitFor()
      await p.getByRole('img', { name: /^Quantiles: q50 \S+, .*q99 \d/ }).waitFor()
      await accessible(p, name)
    }
    clean(p)
    await p.context().close()
  })
  await step('small plots of all of them, each as its type wants', async () => {
    const plotted = async (p) => {
      for (const [name, kind] of [
        ['node_cpu_seconds_total', 'Rate per second'],
        ['rpc_seconds', 'Quantiles'],
        ['node_load1', 'Value'],
      ]) {
        const plot = p.getByRole('region', { name, exact: true })
        await plot.or(p.getByLabel(`Loading the plot of ${name}`)).first().evaluate((e) => e.scrollIntoView())
        await plot.getByText(kind).waitFor()
        await plot.getByRole('img').waitFor()
      }
      await answered(p)
    }
    await looks(browser, `${url}/ui/metrics?plots=1`, 'plots', plotted)
  })
  await step('both themes, and as wide as a phone', async () => {
    await looks(browser, `${url}/ui/metrics`, 'metrics', async (p) => {
      await p.getByRole('link', { name: 'node_load1', exact: true }).waitFor()
    })
    await looks(browser, `${url}/ui/metrics?metric=node_load1`, 'metric', async (p) => {
      await p.getByRole('img', { name: /^Value: max \d/ }).waitFor()
      await p.getByText('instance', { exact: true }).waitFor()
    })
  })
})
console.log('done')
