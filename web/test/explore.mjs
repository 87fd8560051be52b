// A person's path through Explore.
//   URL        a server with the data of internal/e2e/page_test.go
//   DOOMED     a server like it, and DOOMED_PID its process, which the script ends
//   GUARDED    a server with the user ann, whose password is "sea salt"
//   CHROMIUM   the browser; SHOTS a folder for screenshots
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { accessible, check, clean, drawn, env, equal, linesDrawn, looks, open, settled, shot, step, withBrowser } from './lib.mjs'

const explore = (server, params = '') => `${server}/ui/explore${params}`
const editor = (page, name = 'A') => page.getByRole('textbox', { name: `Query ${name}` })
/** Replaces the query as a person does. */
const write = async (page, text, name) => {
  // Chromium tries to keep the colours of a selection that is typed over, by a style that the policy forbids; the editor draws the text anew anyway.
  page.expected.push('Applying inline style')
  await editor(page, name).click()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.type(text)
  await page.keyboard.press('Escape')
}
const cpu = 'sum by (mode) (rate(node_cpu_seconds_total[5m]))'
const ranAs = (q, rest = '') => `?q=${encodeURIComponent(q)}${rest}`

await withBrowser(async (browser) => {
  const url = env('URL')
  const badRequest = 'status of 400'

  await step('the root leads to the page, which paints soon and says what to do', async () => {
    const page = await open(browser, url + '/', { expected: [badRequest] })
    await page.getByText('Type a query, or begin with one of these').waitFor()
    check(page.url() === explore(url), `the root leads to ${page.url()}`)
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime)
    console.log(`     first paint after ${Math.round(paint)} ms`)
    await page.locator('.cm-placeholder').waitFor() // the code of the editor is there
    await accessible(page, 'the start')
    await shot(page, 'start-light')
    clean(page)
  })

  const page = await open(browser, explore(url), { expected: [badRequest] })
  await step('a query is typed with completion, and says what it will read', async () => {
    await page.locator('.cm-content').waitFor() // until its code is there the editor is a plain field
    await editor(page).click()
    await page.keyboard.type('sum by (mode) (rate(node_c')
    await page.getByRole('option', { name: 'node_cpu_seconds_total' }).waitFor()
    await accessible(page, 'the completion')
    await page.keyboard.press('Enter') // takes the completion, and does not run the query
    await page.keyboard.type('[5m')
    await page.getByText('Will read at most', { exact: true }).waitFor()
    equal((await editor(page).textContent()).trim(), cpu, 'the query')
    await page.getByText('Cost and truth: what it will read at most').click()
    await page.getByRole('row').filter({ hasText: 'node_cpu_seconds_total[5m]' }).getByText('the coarsest there is').waitFor()
    await page.getByText('Cost and truth: what it will read at most').click()
    await editor(page).focus()
  })
  await step('Enter draws as many lines as there are series', async () => {
    await page.keyboard.press('Enter')
    await page.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    await settled(page)
    const d = await drawn(page)
    check(d.pixels > 1000, `${d.pixels} pixels are drawn`)
    equal([d.colors, d.lines], [4, 4], 'colours of the legend, and on the canvas')
    await page.getByText('4 series').first().waitFor()
    await page.getByText('samples read').first().waitFor()
    await page.getByRole('listitem').getByText('samples', { exact: true }).waitFor() // the strip of tiers
    await accessible(page, 'the graph')
    await shot(page, 'graph-light')
    check(page.url().includes('q=sum'), `the address is ${page.url()}`)
  })
  await step('a function is explained under the pointer', async () => {
    await page.getByText('rate', { exact: true }).first().hover()
    await page.getByText('(range vector) → instant vector').waitFor()
    await page.mouse.move(5, 5)
  })
  await step('the legend hides, isolates, filters and sorts', async () => {
    await page.getByRole('button', { name: 'Show mode="idle"' }).click()
    await page.getByRole('group', { name: 'Graph of 3 series' }).waitFor()
    await page.getByRole('button', { name: 'Show all lines' }).click()
    await page.getByRole('button', { name: 'mode="user"', exact: true }).click()
    await page.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    equal((await drawn(page)).lines, 1, 'lines drawn')
    await page.getByRole('button', { name: 'mode="user"', exact: true }).click()
    await page.getByRole('searchbox', { name: 'Filter series' }).fill('sys')
    equal(await page.locator('.legend tbody tr').count(), 1, 'rows that match')
    await page.getByRole('searchbox', { name: 'Filter series' }).fill('')
    await page.getByRole('button', { name: 'max' }).click()
    const max = await page.locator('.legend tbody tr td:nth-child(5)').allTextContents()
    equal(max, [...max].sort((a, b) => Number(b) - Number(a)), 'sorted by maximum')
  })
  await step('the crosshair shows the values of all queries', async () => {
    await page.getByRole('button', { name: 'Add query' }).click()
    await editor(page, 'B').click()
    await page.keyboard.type('node_load1')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByRole('group', { name: 'Graph of 6 series' }).waitFor()
    await settled(page)
    const box = await page.locator('.plot .u-over').boundingBox()
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
    await page.locator('.tip').waitFor()
    equal(await page.locator('.tip-row').count(), 6, 'values at the crosshair')
    await shot(page, 'two-queries-light')
  })
  await step('dragging zooms, and back returns', async () => {
    const before = page.url()
    const box = await page.locator('.plot .u-over').boundingBox()
    await page.mouse.move(box.x + box.width * 0.3, box.y + 50)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.6, box.y + 80, { steps: 5 })
    await page.mouse.up()
    await page.waitForURL(/end=/)
    await settled(page)
    const range = new URL(page.url()).searchParams.get('range')
    check(/^1[78]m/.test(range), `a zoom to 30 % of an hour gives ${range}`)
    await page.goBack()
    equal(page.url(), before, 'the address after back')
    await page.getByRole('button', { name: 'Range: Last hour. Change it' }).waitFor()
    await settled(page)
  })
  await step('the table, JSON, and the cost', async () => {
    // A redraw may take the focus from the tab before the key comes.
    const chosen = page.getByRole('tab', { name: 'Table', selected: true })
    for (let tries = 0; tries < 5 && (await chosen.count()) === 0; tries++) {
      await settled(page)
      await page.getByRole('tab', { name: 'Graph' }).press('ArrowRight')
      await chosen.waitFor({ timeout: 5000 }).catch(() => undefined)
    }
    await page.getByRole('region', { name: 'Table of values' }).first().waitFor()
    await settled(page)
    equal(await page.getByRole('region', { name: 'Table of values' }).first().locator('tbody tr').count(), 4, 'rows')
    await page.getByText(/^Values at \d{4}-/).first().waitFor()
    await accessible(page, 'the table')
    await page.keyboard.press('ArrowRight')
    await page.getByLabel('Answer as JSON').getByText('"resultType": "matrix"').first().waitFor()
    await page.getByText('Cost and truth').click()
    await page.getByText('reading and evaluating').first().waitFor()
    await page.getByRole('cell', { name: 'node_load1', exact: true }).waitFor()
    await accessible(page, 'the cost')
    await page.getByRole('tab', { name: 'Graph' }).click()
    await settled(page)
    await shot(page, 'cost-light')
    clean(page)
  })
  await step('the plot by the keyboard', async () => {
    await page.locator('.plot').focus()
    await page.keyboard.press('ArrowLeft')
    await page.locator('.tip').waitFor()
    await page.keyboard.press('+')
    await page.waitForURL(/range=30m/)
    await settled(page)
    await page.goBack()
    await page.getByRole('button', { name: 'Range: Last hour. Change it' }).waitFor()
    await settled(page)
  })
  await step('copies run elsewhere: curl, Grafana, a recording rule, CSV', async () => {
    const copied = async (item) => {
      await page.getByRole('button', { name: 'Share and save' }).click()
      await page.getByRole('menuitem', { name: item }).click()
      await page.getByText(/^(Command|Panel|Rule) copied$/).waitFor()
      return page.evaluate(() => navigator.clipboard.readText())
    }
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    const [first] = (await copied('Copy as curl')).split('\n')
    equal(JSON.parse(execFileSync('sh', ['-c', first])).data.result.length, 4, 'series of the command')
    equal(JSON.parse(await copied('Copy as Grafana panel')).targets.map((t) => t.expr), [cpu, 'node_load1'], 'queries of the panel')
    check((await copied('Copy as recording rule')).includes('record: mode:node_cpu_seconds:sum_rate5m'), 'the rule has a name')
    await page.getByRole('button', { name: 'Share and save' }).click()
    const saved = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: 'Download CSV' }).click()
    const rows = readFileSync(await (await saved).path(), 'utf8').trim().split('\r\n')
    check(rows.length > 300 && rows.every((r) => /^(time|"?\d{4}-)/.test(r)), `${rows.length} rows of CSV`)
    clean(page)
  })
  await step('the time zone, a range from and to, a length, the logarithmic scale', async () => {
    const range = () => page.getByRole('button', { name: /^Range: / })
    await range().click()
    const local = await page.getByLabel('From', { exact: true }).inputValue()
    await page.getByRole('button', { name: 'UTC' }).click()
    await page.waitForURL(/tz=utc/)
    await page.keyboard.press('Escape')
    await range().click()
    const utc = await page.getByLabel('From', { exact: true }).inputValue()
    const hours = (Date.parse(`${local}Z`) - Date.parse(`${utc}Z`)) / 3_600_000
    check(hours > 0.5 && hours < 2.1, `${local} in Berlin is ${utc} in UTC`)
    await accessible(page, 'the choice of a range')
    await page.getByLabel('From', { exact: true }).fill('2026-11-30 10:00')
    await page.getByLabel('To', { exact: true }).fill('2026-11-30 09:00')
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.getByText('The range must begin before it ends.').waitFor()
    await page.getByLabel('From', { exact: true }).fill('2026-01-01 10:00')
    await page.getByLabel('To', { exact: true }).fill('2026-01-01 12:30')
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.getByRole('button', { name: 'Range: 2026-01-01 10:00 – 12:30. Change it' }).waitFor()
    await range().click()
    await page.getByRole('button', { name: '15 minutes' }).click()
    await page.getByRole('group', { name: 'Graph of 6 series' }).waitFor()
    await page.getByLabel('Log scale').check()
    await page.waitForURL(/log=1/)
    await settled(page)
    equal((await drawn(page)).lines, 6, 'lines on a logarithmic scale')
    await range().click()
    await page.getByRole('button', { name: 'Local' }).click()
    await page.keyboard.press('Escape')
    await page.getByLabel('Log scale').uncheck()
    clean(page)
  })
  await step('history, favourites and formatting', async () => {
    await page.getByRole('button', { name: 'Keep as favourite' }).first().click()
    await page.getByRole('button', { name: 'History and favourites' }).click()
    await page.getByRole('button', { name: 'node_load1', exact: true }).waitFor()
    await accessible(page, 'the history')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'More for query B' }).click()
    await page.getByRole('menuitem', { name: 'Remove' }).click()
    await write(page, 'sum(rate(node_cpu_seconds_total[5m]))by(mode)')
    await page.getByRole('button', { name: 'More for query A' }).click()
    await page.getByRole('menuitem', { name: 'Format' }).click()
    await page.getByRole('textbox', { name: 'Query A' }).getByText('by').waitFor()
    await page.waitForFunction((want) => document.querySelector('.cm-content').textContent.trim() === want, cpu)
    clean(page)
  })
  await step('annotations stand at their query', async () => {
    await write(page, 'rate(node_load1[5m])')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByRole('region', { name: 'Query A' }).getByText('metric might not be a counter').waitFor()
    await settled(page)
    await accessible(page, 'an annotation')
    clean(page)
  })
  await step('a query that takes long says so, and is cancelled', async () => {
    await write(page, 'quantile_over_time(0.5, quantile_over_time(0.5, vector(time())[1h:1s])[200h:1s])')
    await page.getByRole('button', { name: 'Run' }).click()
    await page.getByText('The query runs…').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).first().click()
    await page.getByText('The query was cancelled').waitFor()
    await page.getByRole('button', { name: 'Run it again' }).waitFor()
    await accessible(page, 'a cancelled query')
    await page.waitForFunction(async () => (await (await fetch('../api/v1/status/active_queries')).json()).data.queries.length === 0) // on the server, too
    clean(page)
  })
  await step('the queries of before are offered again', async () => {
    await page.goto(explore(url))
    await page.getByRole('group', { name: 'Favourites and the last queries' }).getByRole('button', { name: 'node_load1', exact: true }).click()
    await page.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    clean(page)
  })
  await page.context().close()

  await step('what was deleted is marked below the plot, and that it was deleted since', async () => {
    const p = await open(browser, explore(url, ranAs('node_load1{instance="web-1:9100"}')))
    await p.clock.install()
    await p.reload()
    await p.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    const end = Math.floor(Date.now() / 1000) - 1800
    const answer = await p.request.post(`${url}/api/v1/admin/tsdb/delete_series?match[]=node_load1{instance="web-1:9100"}&start=${end - 600}&end=${end}`)
    equal(answer.status(), 204, 'the deletion')
    await p.clock.fastForward(21_000)
    await p.getByText('Late samples or a deletion may have changed this answer since.').waitFor()
    await p.getByRole('button', { name: 'Run again' }).click()
    await p.getByText('samples were deleted here').waitFor()
    await settled(p)
    await p.getByRole('button', { name: 'Refresh: off. Change it' }).click()
    await p.getByRole('menuitemradio', { name: 'Every 5s' }).click()
    await p.getByRole('button', { name: 'Refresh every 5s. Change it' }).waitFor()
    await settled(p)
    const again = p.waitForRequest(/query_range/)
    await p.clock.fastForward(6000)
    await again
    await settled(p)
    await accessible(p, 'the deleted stretch')
    await shot(p, 'deleted-light')
    clean(p)
    await p.context().close()
  })

  await step("Prometheus' links are understood", async () => {
    const p = await open(browser, `${url}/graph?g0.expr=${encodeURIComponent(cpu)}&g0.tab=0&g0.range_input=30m&g0.stacked=1`)
    await p.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    await p.getByRole('button', { name: 'Range: Last 30 minutes. Change it' }).waitFor()
    check((await p.getByRole('button', { name: 'Stacked' }).getAttribute('aria-pressed')) === 'true', 'the graph is not stacked')
    await settled(p)
    const { pixels } = await drawn(p) // areas cover the lines below them, so colours are not counted
    check(pixels > 50_000, `${pixels} pixels are drawn`)
    await shot(p, 'stacked-light')
    clean(p)
    await p.context().close()
  })

  await step('histograms, classic and native, as heat maps', async () => {
    for (const q of ['sum by (le) (rate(http_request_duration_seconds_bucket[5m]))', 'sum(rate(rpc_seconds[5m]))']) {
      const p = await open(browser, explore(url, ranAs(q, '&mode=heatmap')), { scheme: 'dark' })
      await p.getByRole('group', { name: 'Heat map of histograms' }).waitFor()
      await settled(p)
      check((await drawn(p)).pixels > 5000, `the heat map of ${q} is empty`)
      await accessible(p, 'the heat map')
      await shot(p, q.includes('le') ? 'heat-classic-dark' : 'heat-native-dark')
      clean(p)
      await p.context().close()
    }
  })

  await step('dark, and as wide as a phone', async () => {
    const ready = async (p) => {
      await p.getByRole('group', { name: 'Graph of 6 series' }).waitFor()
      await settled(p)
    }
    await looks(browser, explore(url, ranAs(cpu, '&q=node_load1')), 'two-queries', ready, (p) => linesDrawn(p, 6))
  })

  await step('the theme that the user chooses stays', async () => {
    const p = await open(browser, explore(url))
    await p.getByRole('button', { name: 'Theme: system. Change it' }).click()
    await p.getByRole('button', { name: 'Theme: light. Change it' }).click()
    await p.reload()
    equal(await p.evaluate(() => document.documentElement.dataset.theme), 'dark', 'theme of the new page')
    await p.getByRole('button', { name: 'Theme: dark. Change it' }).waitFor()
    await p.context().close()
  })

  await step('a thousand series: a part is drawn, all on demand, and dragging stays fluid', async () => {
    const p = await open(browser, explore(url, '?q=queue_length&range=50m&step=3s'))
    await p.getByText('The 200 of 1,000 series with the largest maximum are drawn.').waitFor()
    await settled(p)
    await shot(p, 'thousand-light')
    await p.getByRole('searchbox', { name: 'Filter series' }).fill('s000')
    await p.getByRole('button', { name: 'shard="s000"', exact: true }).click() // is not among the 200
    await p.getByRole('group', { name: 'Graph of 1 series' }).waitFor()
    await p.getByRole('button', { name: 'Show all lines' }).click()
    await p.getByRole('button', { name: 'Show all', exact: true }).click()
    await p.getByRole('group', { name: 'Graph of 1,000 series' }).waitFor()
    await settled(p)
    const box = await p.locator('.plot .u-over').boundingBox()
    // CPU time of the page's thread, since other programs may keep it waiting.
    const devtools = await p.context().newCDPSession(p)
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' })
    const cpuMs = async () => (await devtools.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value * 1000
    await p.mouse.move(box.x + 100, box.y + 100)
    await p.mouse.down()
    await p.evaluate(() => {
      globalThis.frames = 0
      const frame = () => {
        globalThis.frames++
        requestAnimationFrame(frame)
      }
      requestAnimationFrame(frame)
    })
    const before = await cpuMs()
    for (let i = 0; i < 30; i++) await p.mouse.move(box.x + 100 + i * 12, box.y + 100 + i * 3)
    const [after, frames] = [await cpuMs(), await p.evaluate(() => globalThis.frames)]
    const each = (after - before) / Math.max(1, Math.min(frames, 30))
    console.log(`     ${frames} frames while dragging over 30 points, ${each.toFixed(1)} ms of CPU each`)
    check(each < 100, `a frame of dragging takes ${each} ms of CPU`)
    await p.mouse.up()
    await p.waitForURL(/end=/)
    await settled(p)
    console.log(`     ${((await cpuMs()) - after).toFixed(0)} ms of CPU for the zoom: the answer decoded and drawn`)
    clean(p)
    await p.context().close()
  })

  await step('a query that cannot be parsed, and one beyond a limit', async () => {
    const p = await open(browser, explore(url, ranAs('sum(')), { expected: [badRequest, 'status of 422'] })
    await p.getByText('The request is not valid').waitFor()
    await p.getByText('parse error').first().waitFor()
    await p.locator('.cm-lintRange-error').first().waitFor() // the editor underlines it
    await accessible(p, 'a bad query')
    await write(p, 'queue_length')
    await p.getByLabel('Step').fill('1s')
    await p.keyboard.press('Enter')
    await p.getByText('The query failed').waitFor()
    await p.getByText('--query.max-samples').first().waitFor()
    await shot(p, 'error-light')
    clean(p)
    await p.context().close()
  })

  await step('why there is no data', async () => {
    const p = await open(browser, explore(url, ranAs('node_cpu_secnds_total{mode="user"}')))
    await p.locator('.cm-content').waitFor()
    await p.getByText('No data').first().waitFor()
    await p.getByRole('button', { name: 'node_cpu_seconds_total' }).first().waitFor()
    await accessible(p, 'no data')
    await shot(p, 'missing-light')
    await p.getByRole('button', { name: 'node_cpu_seconds_total' }).first().click()
    await p.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    const missing = p.getByRole('region', { name: 'Why there is no data' })
    await write(p, 'node_cpu_seconds_total{mode="usr"}')
    await p.getByRole('button', { name: 'Run' }).click()
    await missing.getByText('No series of it has mode="usr". Values like it:').waitFor()
    await missing.getByRole('button', { name: 'user' }).waitFor()
    await write(p, 'jobs_total')
    await p.getByRole('button', { name: 'Run' }).click()
    await missing.getByText('1 sample refused at the door text (bad_value)').waitFor()
    await p.goto(explore(url, ranAs('node_load1', `&end=${new Date(Date.now() + 86_400_000).toISOString()}`)))
    await missing.getByText('It has no samples in the range shown; the newest is older.').waitFor()
    await missing.getByRole('button', { name: 'Show that time' }).click()
    await p.getByRole('group', { name: 'Graph of 2 series' }).waitFor()
    clean(p)
    await p.context().close()
  })

  await step('labels are text, whatever they hold', async () => {
    const p = await open(browser, explore(url, ranAs('{"odd name"}')))
    await p.getByRole('region', { name: 'Table of series' }).getByText('onerror').waitFor()
    for (const tab of ['Table', 'JSON']) await p.getByRole('tab', { name: tab }).click()
    await p.getByLabel('Answer as JSON').getByText('onerror').first().waitFor()
    for (const view of ['metrics?metric=odd%20name', 'metrics?plots=1&q=odd', 'cardinality?date=all&filter=__name__%3D%22odd%20name%22']) {
      await p.goto(`${url}/ui/${view}`)
      await p.getByRole('main').getByText(view.includes('q=odd') ? 'odd name' : 'onerror').first().waitFor()
    }
    equal(await p.locator('main img').count(), 0, 'images of labels')
    clean(p)
    await p.context().close()
  })

  await step('the server is gone', async () => {
    const doomed = env('DOOMED')
    const p = await open(browser, explore(doomed, ranAs(cpu)), { expected: ['ERR_CONNECTION_REFUSED'] })
    await p.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    process.kill(Number(env('DOOMED_PID')), 'SIGKILL')
    await p.getByRole('button', { name: 'Run' }).click()
    await p.getByText('The server cannot be reached').waitFor()
    await p.getByText('is shown; no newer one has come').waitFor() // and the graph stays
    await p.getByRole('group', { name: 'Graph of 4 series' }).waitFor()
    await accessible(p, 'the server gone')
    await shot(p, 'gone-light')
    clean(p)
    await p.context().close()
  })

  await step('signing in', async () => {
    const p = await open(browser, explore(env('GUARDED'), ranAs('up')), { expected: ['status of 401'] })
    await p.getByRole('dialog', { name: 'Sign in' }).waitFor()
    await accessible(p, 'the form to sign in')
    await p.getByLabel('Name, empty with a token').fill('ann')
    await p.getByLabel('Password or token').fill('wrong')
    await p.getByRole('button', { name: 'Sign in' }).click()
    await p.getByText('Name and password do not match.').waitFor()
    await shot(p, 'sign-in-light')
    await p.getByLabel('Password or token').fill('sea salt')
    await p.getByRole('button', { name: 'Sign in' }).click()
    await p.getByRole('button', { name: 'Sign out' }).waitFor()
    await p.getByText('No data').first().waitFor()
    clean(p)
    await p.context().close()
  })
})
console.log('done')
