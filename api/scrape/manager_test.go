package scrape

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"go.uber.org/goleak"

	"tsdb/internal/await"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder keeps the last value of every series and counts commits.
type recorder struct {
	mu      sync.Mutex
	last    map[string]float64
	commits int
	fail    error // of commits
}

type recording struct {
	to  *recorder
	all map[string]float64
}

func (r *recorder) AppenderV2(context.Context) storage.AppenderV2 {
	return &recording{r, map[string]float64{}}
}

func (a *recording) Append(_ storage.SeriesRef, ls labels.Labels, _, _ int64, v float64, _ *histogram.Histogram, _ *histogram.FloatHistogram, _ storage.AOptions) (storage.SeriesRef, error) {
	a.all[ls.String()] = v
	return storage.SeriesRef(ls.Hash() | 1), nil
}

func (a *recording) Rollback() error { return nil }

func (a *recording) Commit() error {
	a.to.mu.Lock()
	defer a.to.mu.Unlock()
	maps.Copy(a.to.last, a.all)
	a.to.commits++
	return a.to.fail
}

// get returns the last value of the series whose labels contain all of parts.
func (r *recorder) get(parts ...string) (float64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, v := range r.last {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(name, p) }) {
			return v, true
		}
	}
	return 0, false
}

func (r *recorder) await(t *testing.T, what string, want func(v float64) bool, parts ...string) {
	t.Helper()
	await.That(t, what, func() bool { v, ok := r.get(parts...); return ok && want(v) })
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

func is(want float64) func(float64) bool { return func(v float64) bool { return v == want } }

func start(t *testing.T, yaml string, edit ...func(*Options)) (*Manager, *recorder) {
	t.Helper()
	r := &recorder{last: map[string]float64{}}
	o := Options{Appendable: r, MaxBodyBytes: 1 << 20, Registerer: prometheus.NewRegistry(), Interval: 20 * time.Millisecond}
	for _, f := range edit {
		f(&o)
	}
	m := NewManager(o)
	t.Cleanup(func() { m.Stop(context.Background()) })
	if err := m.Apply(mustParse(t, yaml)); err != nil {
		t.Fatal(err)
	}
	return m, r
}

// target serves a text, which can change, and returns its address.
type target struct {
	*httptest.Server
	mu   sync.Mutex
	text string
	kind string // Content-Type
}

func newTarget(t *testing.T, text string) *target {
	t.Helper()
	x := &target{text: text, kind: "text/plain"}
	x.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		x.mu.Lock()
		defer x.mu.Unlock()
		w.Header().Set("Content-Type", x.kind)
		fmt.Fprint(w, x.text)
	}))
	t.Cleanup(x.Close)
	return x
}

func (x *target) set(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.text = text
}

func (x *target) addr() string { return x.Listener.Addr().String() }

const fast = "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\nscrape_configs:\n"

func job(name, addr string, more ...string) string {
	return fmt.Sprintf("- job_name: %s\n  static_configs: [{targets: ['%s']}]\n  %s\n", name, addr, strings.Join(more, "\n  "))
}

// What goes wrong with a target shows in up and in the target's error, and its series
// become stale.
func TestTargetsThatFail(t *testing.T) {
	good := newTarget(t, "a 1\nb{x=\"1\"} 2\n")
	html := newTarget(t, "<html>")
	html.kind = "text/html"
	twice := newTarget(t, "a 1\na 2\n")
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for {
			if _, err := fmt.Fprintf(w, "# %s\n", strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	ahead := newTarget(t, fmt.Sprintf("a 1 %d\nb 2\n", time.Now().Add(time.Hour).UnixMilli()))

	m, r := start(t, fast+job("good", good.addr())+job("html", html.addr())+job("twice", twice.addr())+
		job("endless", strings.TrimPrefix(endless.URL, "http://"), "scrape_interval: 2s", "scrape_timeout: 2s")+
		job("slow", strings.TrimPrefix(slow.URL, "http://"))+job("ahead", ahead.addr())+job("samples", good.addr(), "sample_limit: 1")+
		job("labels", good.addr(), "label_limit: 2")+job("none", "127.0.0.1:1")+
		job("renamed", good.addr(), "metric_relabel_configs: [{source_labels: [__name__], regex: (.), target_label: __name__, replacement: new_$1}]"))
	for name, want := range map[string]struct {
		up  float64
		err string
	}{
		"good": {1, ""}, "html": {0, "received unsupported Content-Type"}, "twice": {1, ""}, "endless": {0, "body size limit exceeded"},
		"slow": {0, "context deadline exceeded"}, "ahead": {1, ""}, "samples": {0, "sample limit exceeded"},
		"labels": {0, "label_limit exceeded"}, "none": {0, "connection refused"}, "renamed": {1, ""},
	} {
		r.await(t, "up of "+name, is(want.up), `__name__="up"`, `job="`+name+`"`)
		await.That(t, "the error of "+name, func() bool {
			for _, x := range m.Targets().Active {
				if x.Pool == name && x.Health != "unknown" {
					return x.LastError == want.err || want.err != "" && strings.Contains(x.LastError, want.err)
				}
			}
			return false
		})
	}
	for _, c := range []struct {
		want  float64
		parts []string
	}{
		{1, []string{`__name__="a"`, `job="good"`}}, {2, []string{`__name__="b"`, `x="1"`, `job="good"`}}, {2, []string{`__name__="new_b"`, `job="renamed"`}},
		{1, []string{`__name__="a"`, `job="twice"`}}, {2, []string{`__name__="b"`, `job="ahead"`}},
	} {
		r.await(t, strings.Join(c.parts, " "), is(c.want), c.parts...)
	}
	for _, parts := range [][]string{{`__name__="a"`, `job="samples"`}, {`__name__="b"`, `job="labels"`}, {`__name__="a"`, `job="ahead"`}, {`__name__="a"`, `job="renamed"`}} {
		if v, ok := r.get(parts...); ok && !value.IsStaleNaN(v) {
			t.Errorf("%q is %v", parts, v)
		}
	}
	// A series that is not exposed any more becomes stale, and all do when the target ends.
	good.set("a 3\n")
	r.await(t, "a stale series", value.IsStaleNaN, `__name__="b"`, `job="good"`)
	r.await(t, "a new value", is(3), `__name__="a"`, `job="good"`)
	good.Close()
	r.await(t, "all stale", value.IsStaleNaN, `__name__="a"`, `job="good"`)
	r.await(t, "down", is(0), `__name__="up"`, `job="good"`)
}

// A reload changes what is new and leaves other targets alone; one that cannot be
// applied changes nothing.
func TestApply(t *testing.T) {
	one, two := newTarget(t, "a 1\n"), newTarget(t, "a 2\n")
	dir := t.TempDir()
	list := filepath.Join(dir, "list.json")
	write := func(addrs ...string) {
		t.Helper()
		text := `[{"targets": ["` + strings.Join(addrs, `","`) + `"], "labels": {"from": "file"}}]`
		next := filepath.Join(dir, "next")
		if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, list)); err != nil {
			t.Fatal(err)
		}
	}
	write(one.addr())
	files := "- job_name: files\n  file_sd_configs: [{files: ['" + list + "']}]\n"
	m, r := start(t, "scrape_configs: []")
	if got := m.Targets(); len(got.Active) != 0 || len(got.Pools) != 0 {
		t.Errorf("without jobs: %+v", got)
	}
	if _, err := m.RelabelSteps("kept", labels.EmptyLabels()); err == nil {
		t.Error("a pool that is not there has rules")
	}
	kept := job("kept", one.addr(), "relabel_configs: [{source_labels: [__address__], target_label: address}, {regex: x.*, action: labeldrop}, {source_labels: [gone], regex: .+, action: drop}, {target_label: z, replacement: z}]")
	apply := func(yaml string) error { return m.Apply(mustParse(t, yaml)) }
	if err := apply(fast + kept + files); err != nil {
		t.Fatal(err)
	}
	r.await(t, "the first job", is(1), `__name__="a"`, `job="kept"`, `address="`+one.addr())
	r.await(t, "a target of a file", is(1), `__name__="a"`, `from="file"`, one.addr())
	write(one.addr(), two.addr())
	r.await(t, "a new target of the file", is(2), `__name__="a"`, `from="file"`, two.addr())
	write(two.addr())
	await.That(t, "a target that has left", func() bool { return len(m.Targets().Active) == 2 })
	r.await(t, "its last marker", value.IsStaleNaN, `__name__="up"`, `from="file"`, one.addr())

	if err := apply(fast + kept + files + job("new", two.addr())); err != nil {
		t.Fatal(err)
	}
	r.await(t, "a new job", is(2), `__name__="a"`, `job="new"`)
	r.await(t, "the other job", is(1), `__name__="a"`, `job="kept"`)
	names := func() string { return strings.Join(m.Targets().Pools, " ") }
	if got := names(); got != "files kept new" {
		t.Errorf("pools %s", got)
	}
	if err := apply(fast + job("bad", "127.0.0.1:1", "tls_config: {ca_file: /nonexistent}") + job("kept", two.addr(), "tls_config: {ca_file: /nonexistent}")); err == nil {
		t.Error("a job without its certificates was applied")
	}
	if got := names(); !strings.Contains(got, "kept") {
		t.Errorf("after a refused reload: pools %s", got)
	}
	await.That(t, "the old jobs again", func() bool { return names() == "files kept new" })

	steps, err := m.RelabelSteps("kept", labels.FromStrings("__address__", "h:1", "xx", "1", "gone", "1"))
	if err != nil || len(steps) != 4 || steps[0].Output.Get("address") != "h:1" || !steps[1].Keep || steps[1].Output.Has("xx") || steps[2].Keep || steps[3].Keep || !steps[3].Output.IsEmpty() {
		t.Errorf("%+v, %v", steps, err)
	}
	if err := apply("scrape_configs: []"); err != nil || names() != "" {
		t.Errorf("pools %q, %v", names(), err)
	}
	m.Stop(t.Context())
	if err := apply(fast); err == nil {
		t.Error("a reload after the end")
	}
}

// A target that hangs does not hold up the end of the server.
func TestStopDoesNotWaitForSlowTargets(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(asked) })
		<-release
	}))
	m, _ := start(t, fast+job("slow", slow.Listener.Addr().String(), "scrape_interval: 2s", "scrape_timeout: 2s"))
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Stop(ctx)
	close(release)
	slow.Close()
}

func TestGlobalAddresses(t *testing.T) {
	x := newTarget(t, "a 1\n")
	_, port, err := net.SplitHostPort(x.addr())
	if err != nil {
		t.Fatal(err)
	}
	external := mustURL("https://example.org:8443/")
	m, _ := start(t, fast+job("other", x.addr())+job("self", "localhost:9201")+job("bare", "localhost")+job("far", "127.0.0.2:1"), func(o *Options) { o.Port, o.External = "9201", external })
	want := map[string]string{
		"other": "http://example.org:" + port + "/metrics", "self": "https://example.org:8443/metrics", "bare": "http://example.org/metrics", "far": "http://127.0.0.2:1/metrics",
	}
	await.That(t, "targets", func() bool { return len(m.Targets().Active) == len(want) })
	for _, got := range m.Targets().Active {
		if got.GlobalURL != want[got.Pool] {
			t.Errorf("%s: %s, want %s", got.Pool, got.GlobalURL, want[got.Pool])
		}
	}
	await.That(t, "metadata of a target", func() bool { // there is none, but it is asked for
		return m.Targets().Active[0].Metadata() != nil
	})
}
