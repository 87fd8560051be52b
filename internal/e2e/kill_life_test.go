package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
)

// lifeRound is one life of the server, which ends with a kill during one kind of work. The
// samples that the work concerns have a label with the number of the round.
type lifeRound struct {
	*server
	t      *testing.T
	client *http.Client
	number int
	dir    string          // of files beside the data
	ctx    context.Context // ends when the server is killed
	done   bool            // the work was acknowledged; only read once it has ended
}

// Samples of a round: some series with a sample a minute.
const (
	lifeSeries = 8
	lifeRows   = 200
)

// write writes the samples of the round to a metric, from a time on.
func (r *lifeRound) write(metric string, from time.Time) {
	r.t.Helper()
	var list []remoteSeries
	for i := range lifeSeries {
		s := remoteSeries{labels: []string{"__name__", metric, "i", fmt.Sprint(i), "round", fmt.Sprint(r.number)}}
		for k := range lifeRows {
			s.samples = append(s.samples, point{from.Add(time.Duration(k) * time.Minute).UnixMilli(), float64(k)})
		}
		list = append(list, s)
	}
	if a, err := writeRemote(r.t.Context(), r.client, r.url(), list); err != nil || !a.acknowledged() {
		r.t.Fatalf("write %s: %v %+v", metric, err, a)
	}
}

// counts returns the samples of the round by series.
func (r *lifeRound) counts(metric string) map[string]float64 {
	r.t.Helper()
	found := map[string]float64{}
	for _, v := range queryVector(r.t, r.client, r.url(), fmt.Sprintf(`count_over_time(%s{round="%d"}[29d])`, metric, r.number), time.Now()) {
		found[v.Metric["i"]] = v.Value.v
	}
	return found
}

// wholeOrGone checks that series have all their samples or none, as all others of them, and
// reports whether they have.
func (r *lifeRound) wholeOrGone(metric string, from, to int) (there bool) {
	r.t.Helper()
	n := r.counts(metric)
	for i := from; i < to; i++ {
		got := n[fmt.Sprint(i)]
		if got != 0 && got != lifeRows || i > from && (got != 0) != there {
			r.t.Errorf("round %d: %s is there in part: %v", r.number, metric, n)
			return there
		}
		there = got != 0
	}
	return there
}

// post sends a request during which the server may be killed, and reports whether it was
// acknowledged.
func (r *lifeRound) ask(path string) bool {
	a, err := send(context.WithoutCancel(r.t.Context()), r.client, r.url()+path, nil, http.Header{})
	if err == nil && a.code/100 != 2 && a.code != http.StatusServiceUnavailable {
		r.t.Errorf("POST %s: %d %s", path, a.code, a.body)
	}
	return err == nil && a.code/100 == 2
}

// lifeWork is a kind of work: prepare writes what it is about, run does it until the server
// is killed, and verify looks at it after the restart.
type lifeWork struct {
	name                 string
	prepare, run, verify func(r *lifeRound)
}

func lifeWorks(rules string) []lifeWork {
	old := func() time.Time { return time.Now().Add(-6 * 24 * time.Hour).Truncate(time.Hour) }
	nothing := func(*lifeRound) {}
	return []lifeWork{
		{"delete and clean_tombstones", func(r *lifeRound) {
			r.write("victim", old())
			r.server.post(r.t, "/api/v1/admin/compact")
		}, func(r *lifeRound) {
			r.done = r.ask("/api/v1/admin/tsdb/delete_series?" + url.Values{"match[]": {fmt.Sprintf(`victim{round="%d",i=~"[0-3]"}`, r.number)}}.Encode())
			r.ask("/api/v1/admin/tsdb/clean_tombstones")
		}, func(r *lifeRound) {
			if there := r.wholeOrGone("victim", 0, 4); there && r.done {
				r.t.Errorf("round %d: an acknowledged deletion is lost", r.number)
			}
			if !r.wholeOrGone("victim", 4, lifeSeries) {
				r.t.Errorf("round %d: a deletion took other series", r.number)
			}
		}},
		{"retention", func(r *lifeRound) {
			r.write("aged", old())
			r.server.post(r.t, "/api/v1/admin/compact")
			writeFile(r.t, rules, fmt.Sprintf("retention:\n  - {match: 'aged{round=\"%d\",i=~\"[0-3]\"}', raw: 3d, 1m: off, 1h: off}\n", r.number))
		}, func(r *lifeRound) {
			r.done = r.ask("/-/reload")
			r.ask("/api/v1/admin/compact")
		}, func(r *lifeRound) {
			if there := r.wholeOrGone("aged", 0, 4); there && r.done {
				r.t.Errorf("round %d: what a rule has hidden is back", r.number)
			}
			if !r.wholeOrGone("aged", 4, lifeSeries) {
				r.t.Errorf("round %d: a rule hides other series", r.number)
			}
		}},
		{"snapshot", nothing, func(r *lifeRound) {
			for r.ask("/api/v1/admin/tsdb/snapshot") {
			}
		}, func(r *lifeRound) {
			names, err := os.ReadDir(filepath.Join(r.server.dir, "snapshots"))
			if err != nil && !os.IsNotExist(err) {
				r.t.Fatal(err)
			}
			for i, n := range names {
				if i == 0 {
					if code, out := runProgram(r.t, tsdbBin, "check", "--data", filepath.Join(r.server.dir, "snapshots", n.Name())); code != 0 {
						r.t.Errorf("round %d: snapshot %s: %s", r.number, n.Name(), out)
					}
				}
				req, err := http.NewRequestWithContext(r.t.Context(), http.MethodDelete, r.url()+"/api/v1/admin/tsdb/snapshots/"+n.Name(), nil)
				if err != nil {
					r.t.Fatal(err)
				}
				resp, err := r.client.Do(req)
				if err != nil || resp.StatusCode/100 != 2 {
					r.t.Fatalf("remove snapshot %s: %v %v", n.Name(), err, resp)
				}
				resp.Body.Close()
			}
		}},
		{"backup", nothing, func(r *lifeRound) {
			p := startProcess(r.t, "backup", tsdbBin, "backup", "--from", r.url(), "--to", filepath.Join(r.dir, "archive"), "--rate", "256KiB")
			r.endWithServer(p)
		}, func(r *lifeRound) { backUp(r.t, r.url(), filepath.Join(r.dir, "archive")) }},
		{"import", func(r *lifeRound) {
			var text strings.Builder
			for i := range lifeSeries {
				for k := range lifeRows {
					fmt.Fprintf(&text, "brought{i=\"%d\",round=\"%d\"} %d %d\n", i, r.number, k, old().Add(time.Duration(k)*time.Minute).UnixMilli())
				}
			}
			writeFile(r.t, r.source(), text.String())
		}, func(r *lifeRound) {
			p := startProcess(r.t, "import", tsdbBin, r.importArgs()...)
			r.endWithServer(p)
		}, func(r *lifeRound) {
			runTSDB(r.t, r.importArgs()...)
			if !r.wholeOrGone("brought", 0, lifeSeries) {
				r.t.Errorf("round %d: nothing was imported", r.number)
			}
		}},
	}
}

// endWithServer ends a command once the server is killed: it would repeat its requests.
func (r *lifeRound) endWithServer(p *process) {
	<-r.ctx.Done()
	p.kill()
}

func (r *lifeRound) source() string {
	return filepath.Join(r.dir, fmt.Sprint("import", r.number, ".txt"))
}

func (r *lifeRound) importArgs() []string {
	return []string{"import", "text", r.source(), "--to", r.url(), "--state", r.source() + ".state"}
}

// tidy checks that a stopped server has left no files that belong to nothing.
func (s *server) tidy(t *testing.T) {
	t.Helper()
	var report struct{ Damage, Notes []struct{ File, What string } }
	code, out := runProgram(t, tsdbBin, "check", "--data", s.dir, "--json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || len(report.Damage)+len(report.Notes) > 0 {
		t.Errorf("tsdb check ends with %d: %v\n%s", code, err, out)
	}
	err := filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(name, ".tmp") || filepath.Base(filepath.Dir(name)) == "lost+found") {
			t.Errorf("left: %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The server is killed during deletions, the rewriting of what was deleted or has expired,
// snapshots, backups and imports, beside writes, cuts and merges. After each start every
// acknowledged sample is there, a deletion, a rule and a snapshot are whole or not there,
// what was interrupted can be repeated, and no file is left over. A restore that is killed
// goes on, and no server starts on what it has left.
func TestKillsDuringTheLifeOfData(t *testing.T) {
	t.Parallel()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewSource(seed))
	dir := t.TempDir()
	rules := filepath.Join(dir, "tsdb.yml")
	writeFile(t, rules, "")
	s := newServer(t, filepath.Join(dir, "data"), "--config", rules, "--history.keep", "1h", "--retention.raw", "29d")
	client := newHTTPClient(t)
	l := newLedger(remoteWriteDoor, 0, rnd.Int63())
	works := lifeWorks(rules)
	var last *lifeRound
	verify := func() {
		l.verify(t, client, s.url())
		if last != nil {
			last.server = s
			works[last.number%len(works)].verify(last)
		}
	}
	until := time.Now().Add(soak(t))
	for n := 0; n < len(works) || time.Now().Before(until); n++ {
		s.start(t)
		s.waitReady(t)
		verify()
		if t.Failed() {
			t.Fatalf("after round %d, %s", n-1, works[(n+len(works)-1)%len(works)].name)
		}
		r := &lifeRound{server: s, t: t, client: client, number: n, dir: dir}
		work := works[n%len(works)]
		work.prepare(r)
		ctx, cancel := context.WithCancel(t.Context())
		r.ctx = ctx
		var clients sync.WaitGroup
		clients.Go(func() { writeUntil(ctx, t, l, client, s.url()) })
		disturbSeed := rnd.Int63()
		clients.Go(func() { disturb(ctx, client, s.url(), disturbSeed) })
		clients.Go(func() { work.run(r) })
		await.Pause(ctx, time.Duration(1+rnd.Intn(200))*time.Millisecond) // any moment will do
		s.kill()
		cancel()
		clients.Wait()
		s.noPanic(t)
		s.check(t)
		last = r
	}
	s.start(t)
	s.waitReady(t)
	verify()
	archive := filepath.Join(dir, "archive")
	backUp(t, s.url(), archive)
	s.post(t, "/api/v1/admin/compact")
	l.verify(t, client, s.url())
	s.stop(t)
	s.noPanic(t)
	s.tidy(t)

	back := newServer(t, filepath.Join(dir, "restored"))
	args := []string{"restore", "--from", archive, "--to", back.dir}
	for range 2 {
		p := startProcess(t, "restore", tsdbBin, append(args, "--rate", "1MiB")...)
		await.Pause(t.Context(), time.Duration(30+rnd.Intn(200))*time.Millisecond)
		p.kill()
		if _, err := os.Stat(filepath.Join(back.dir, "RESTORING")); err != nil {
			continue // it was not begun, or has ended
		}
		if code, out := runProgram(t, tsdbBin, "serve", "--data", back.dir, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"); code == 0 || !strings.Contains(out, "restore") {
			t.Errorf("a server on half a restore ends with %d:\n%s", code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(back.dir, "MANIFEST")); err != nil {
		runTSDB(t, args...)
	}
	back.tidy(t)
	back.start(t)
	back.waitReady(t)
	l.verify(t, client, back.url())
	back.stop(t)
}

// A mistake in the retention rules of a file that is read again is logged, answered and
// counted, and the rules stay as they were.
func TestMistakesInReloadedRetentionRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "tsdb.yml")
	const rule = "retention:\n  - {match: '{env=\"dev\"}', raw: %s}\n"
	writeFile(t, file, fmt.Sprintf(rule, "3d"))
	s := newServer(t, filepath.Join(dir, "data"), "--config", file)
	client := newHTTPClient(t)
	s.start(t)
	s.waitReady(t)
	days := func(n int) string { return fmt.Sprint(time.Now().Add(time.Duration(-n) * 24 * time.Hour).UnixMilli()) }
	taken := func(n int) bool {
		a, err := writeLines(t.Context(), client, s.url(), "x", []byte("m,env=dev v=1 "+days(n)))
		if err != nil {
			t.Fatal(err)
		}
		return a.acknowledged()
	}
	succeeded := func() bool {
		var info struct {
			Success bool `json:"reloadConfigSuccess"`
		}
		a := mustAsk(t, client, s.url(), "/api/v1/status/runtimeinfo", nil)
		if err := json.Unmarshal(a.Data, &info); err != nil {
			t.Fatal(err)
		}
		return info.Success
	}
	asBefore := func(when string) {
		t.Helper()
		if !taken(2) || taken(5) {
			t.Errorf("%s: the rule is not in force", when)
		}
		a := mustAsk(t, client, s.url(), "/api/v1/status/storage", nil)
		if !strings.Contains(string(a.Data), `{env=\"dev\"}`) || !strings.Contains(string(a.Data), fmt.Sprint(3*24*3600*1000)) {
			t.Errorf("%s: status %s", when, a.Data)
		}
	}
	asBefore("at the start")
	const mistake = `tsdb.yml:2: key "raw": "never" is neither`
	writeFile(t, file, fmt.Sprintf(rule, "never"))
	s.signal(t, syscall.SIGHUP)
	s.waitLog(t, "the configuration was not reloaded, the settings are as before", "is neither")
	await.That(t, "the failure is shown", func() bool { return !succeeded() })
	asBefore("after a mistake")
	if code, body := postText(t, client, s.url()+"/-/reload"); code != http.StatusInternalServerError || !strings.Contains(body, mistake) {
		t.Errorf("reload: %d %s", code, body)
	}
	asBefore("after another try")
	writeFile(t, file, fmt.Sprintf(rule, "1d, 1m: off, 1h: off")) // no rollup for which the floor would wait
	s.post(t, "/-/reload")
	if !succeeded() || taken(2) {
		t.Error("the mended file is not in force")
	}
	if n := queryVector(t, client, s.url(), `count_over_time(m_v{env="dev"}[5d])`, time.Now()); len(n) != 0 {
		t.Errorf("samples that the mended rule does not keep: %v", n)
	}
	s.stop(t)
	s.check(t)
}
