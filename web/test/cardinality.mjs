// A person's path through Cardinality.
//   URL        a server with the data of internal/e2e/page_test.go, of which the script deletes a metric
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { accessible, check, clean, env, equal, looks, open, shot, step, withBrowser } from './lib.mjs'

const table = (page, name) => page.getByRole('region', { name, exact: true })

await withBrowser(async (browser) => {
  const url = env('URL')
  const page = await open(browser, `${url}/ui/cardinality?date=all`)
  await step('the metrics and labels with the most series', async () => {
    const first = table(page, 'Series by metric').getByRole('listitem').first()
    await first.getByText('queue_length').waitFor()
    check((await first.textContent()).includes('1,000'), `the first metric: ${await first.textContent()}`)
    await table(page, 'Values by label').getByText('shard').waitFor()
    await accessible(page, 'the cardinality')
  })
  await step('a day, against the day before, and what was new on it', async () => {
    await page.goto(`${url}/ui/cardinality`)
    await page.getByRole('group', { name: 'Days', exact: true }).getByRole('button', { pressed: true }).waitFor()
    await table(page, 'Series by metric').waitFor()
    await page.getByText('Gone since the day before').waitFor()
    await accessible(page, 'a day')
    await shot(page, 'cardinality-light')
  })
  await step('the values of a label, and only some series', async () => {
    await page.getByLabel('Focus label').fill('mode')
    await page.getByRole('button', { name: 'Count', exact: true }).click()
    await table(page, 'Series by value of mode').getByText('iowait').waitFor()
    await page.getByRole('button', { name: 'What to do about node_load1' }).first().scrollIntoViewIfNeeded()
    await page.getByRole('button', { name: 'What to do about queue_length' }).first().click()
    await page.getByRole('menuitem', { name: 'Count only these' }).click()
    await page.waitForURL(/filter=/)
    await table(page, 'Series by metric').getByText('node_load1').waitFor({ state: 'detached' })
    equal(await table(page, 'Series by metric').getByRole('listitem').count(), 1, 'metrics')
    clean(page)
  })
  await step('the rule that keeps them out', async () => {
    await table(page, 'Series by metric').getByRole('button', { name: 'What to do about queue_length' }).click()
    await page.getByRole('menuitem', { name: 'Relabel rule…' }).click()
    await page.getByText("regex: 'queue_length'").waitFor()
    await accessible(page, 'the rule')
    await shot(page, 'rule-light')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  })
  await step('deletion, after its estimate', async () => {
    await table(page, 'Series by metric').getByRole('button', { name: 'What to do about queue_length' }).click()
    await page.getByRole('menuitem', { name: 'Delete…' }).click()
    await page.getByRole('row').filter({ hasText: 'together' }).getByText('1,000', { exact: true }).waitFor()
    await accessible(page, 'the deletion')
    await shot(page, 'delete-light')
    check(await page.getByRole('button', { name: 'Delete', exact: true }).isDisabled(), 'deletion needs a confirmation')
    await page.getByLabel('Delete 1,000 series').check()
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByText('No series of this day is like that.').waitFor()
    await accessible(page, 'no series')
    clean(page)
    await page.context().close()
  })
  await step('who is no administrator is not offered deletion', async () => {
    const p = await open(browser, `${url}/ui/cardinality`, { headers: { 'X-Forwarded-For': '192.0.2.1' } })
    await p.getByRole('button', { name: 'What to do about node_load1' }).first().click()
    await p.getByRole('menuitem', { name: 'Relabel rule…' }).waitFor()
    equal(await p.getByRole('menuitem', { name: 'Delete…' }).count(), 0, 'offers to delete')
    clean(p)
    await p.context().close()
  })
  await step('both themes, and as wide as a phone', async () => {
    await looks(browser, `${url}/ui/cardinality?focus=mode`, 'cardinality', async (p) => {
      await table(p, 'Series by value of mode').getByText('iowait').waitFor()
      await p.getByRole('group', { name: 'Days', exact: true }).waitFor()
    })
  })
})
console.log('done')
