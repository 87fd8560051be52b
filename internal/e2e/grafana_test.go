package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

const grafanaDir = "../../deploy/grafana"

// dashboard contains the fields of a dashboard that the test needs.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type, Definition string
		}
	}
	Panels []struct {
		Type, Title string
		Interval    string // the shortest step; "" = none
		Targets     []struct {
			Expr    string
			Instant bool
		}
	}
}

// Every query of every panel and variable of the dashboards has an answer, for a fleet
// of hosts and for the server's scrape of itself.
func TestGrafanaDashboardsHaveAnswers(t *testing.T) {
	t.Parallel()
	addr := loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--grpc", addr, "--self-scrape.interval", "1s")
	s.start(t)
	s.waitReady(t)
	client := newHTTPClient(t)
	if r, err := writeRemote(t.Context(), client, s.url(), fleetSeries(time.Now())); err != nil || !r.acknowledged() {
		t.Fatalf("write: %v %+v", err, r)
	}
	useEveryDoor(t, client, s, addr)

	files, err := filepath.Glob(filepath.Join(grafanaDir, "dashboards", "*.json"))
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Run(d.UID, func(t *testing.T) { d.check(t, client, s) })
	}
	s.noPanic(t)
}

// useEveryDoor sends requests of all protocols, so that all counters are incremented.
func useEveryDoor(t *testing.T, c *http.Client, s *server, grpcAddr string) {
	t.Helper()
	old := []remoteSeries{{labels: []string{"__name__", "old"}, samples: []point{{t: 1, v: 1}}}}
	if r, err := writeRemote(t.Context(), c, s.url(), old); err != nil || r.code != http.StatusBadRequest {
		t.Fatalf("write of an old sample: %v %+v", err, r)
	}
	conn, err := grpc.NewClient(grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	mustAsk(t, c, s.url(), "/api/v1/query", url.Values{"query": {"up"}})
	mustAsk(t, c, s.url(), "/api/v1/query_range", url.Values{"query": {"up"}, "start": {"1"}, "end": {"2"}, "step": {"1"}})
}

func (d *dashboard) check(t *testing.T, c *http.Client, s *server) {
	// Once with all values selected and once with one value of each variable.
	all, one := map[string]string{}, map[string]string{}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		values := labelValues(t, c, s, substitute(v.Definition, all))
		all[v.Name], one[v.Name] = ".*", quoteLikeGrafana(values[0])
	}
	queries := 0
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, vars := range []map[string]string{all, one} {
				queries++
				expr := substitute(target.Expr, vars)
				if strings.Contains(expr, "$") {
					t.Errorf("panel %q: a variable is left in %s", p.Title, expr)
				}
				expectNumbers(t, c, s, p.Title, expr, target.Instant)
			}
		}
	}
	if queries < 30 {
		t.Errorf("%d queries only", queries)
	}
}

// substitute replaces a dashboard's variables by values.
func substitute(text string, vars map[string]string) string {
	text = strings.NewReplacer("$__rate_interval", "1m0s", "$__interval", "1m").Replace(text)
	for name, value := range vars {
		text = strings.ReplaceAll(text, "$"+name, value)
	}
	return text
}

// quoteLikeGrafana escapes a value for a regular expression inside a string.
func quoteLikeGrafana(s string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(s), `\`, `\\`)
}

var labelValuesCall = regexp.MustCompile(`^label_values\((.+), *(\w+)\)$`)

// labelValues sends Grafana's request for a variable's label_values(selector, label).
func labelValues(t *testing.T, c *http.Client, s *server, definition string) []string {
	t.Helper()
	call := labelValuesCall.FindStringSubmatch(definition)
	if call == nil {
		t.Fatalf("variable %q is none that the test knows", definition)
	}
	var values []string
	await.That(t, "values of the variable "+definition, func() bool {
		a := mustAsk(t, c, s.url(), "/api/v1/label/"+call[2]+"/values", url.Values{"match[]": {call[1]}})
		if err := json.Unmarshal(a.Data, &values); err != nil {
			t.Fatal(err)
		}
		return len(values) > 0
	})
	return values
}

// expectNumbers repeats Grafana's request until the answer contains a number, because
// the first scrapes take some seconds.
func expectNumbers(t *testing.T, c *http.Client, s *server, panel, expr string, instant bool) {
	t.Helper()
	var a *answer
	if !await.Within(t.Context(), readyLimit, func() bool {
		now := time.Now()
		path, form := "/api/v1/query_range", url.Values{"query": {expr}, "start": {seconds(now.Add(-10 * time.Minute))}, "end": {seconds(now)}, "step": {"15"}}
		if instant {
			path, form = "/api/v1/query", url.Values{"query": {expr}, "time": {seconds(now)}}
		}
		a = mustAsk(t, c, s.url(), path, form)
		if len(a.Warnings) > 0 {
			t.Errorf("panel %q: %s: %v", panel, expr, a.Warnings)
		}
		return hasNumber(t, a.Data)
	}) {
		t.Errorf("panel %q: no numbers for %s: %.200s", panel, expr, a.Data)
	}
}

func hasNumber(t *testing.T, data json.RawMessage) bool {
	t.Helper()
	var d struct {
		Result []struct {
			Value  *point
			Values []point
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	for _, r := range d.Result {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		for _, p := range r.Values {
			if !math.IsNaN(p.v) && !math.IsInf(p.v, 0) {
				return true
			}
		}
	}
	return false
}

// fleetSeries returns half an hour of node_exporter samples of three hosts. The second
// half is in the future, so that a rate over a minute always has samples.
func fleetSeries(now time.Time) []remoteSeries {
	var all []remoteSeries
	for h := range 3 {
		add := func(name string, start, slope float64, more ...string) {
			s := remoteSeries{labels: append([]string{"__name__", name}, sortedLabels(append(more, "instance", fmt.Sprintf("host%d:9100", h), "job", "node"))...)}
			for i := range 120 {
				s.samples = append(s.samples, point{now.Add(time.Duration(i-60) * 15 * time.Second).UnixMilli(), start + slope*float64(i)})
			}
			all = append(all, s)
		}
		add("node_uname_info", 1, 0, "nodename", fmt.Sprint("host", h), "release", "6.1", "machine", "x86_64")
		add("node_boot_time_seconds", float64(now.Unix()-86400), 0)
		for cpu := range 2 {
			for i, mode := range []string{"idle", "system", "user"} {
				add("node_cpu_seconds_total", 1000, []float64{10, 2, 3}[i], "cpu", fmt.Sprint(cpu), "mode", mode)
			}
		}
		add("up", 1, 0)
		add("node_load1", 0.5, 0.01)
		add("node_hwmon_temp_celsius", 40, 0.25, "chip", "coretemp", "sensor", "temp1")
		for i, le := range []string{"0.01", "0.1", "+Inf"} {
			add("http_request_duration_seconds_bucket", 10, float64(i+1), "handler", "/", "le", le)
		}
		add("http_request_duration_seconds_count", 10, 3, "handler", "/")
		add("http_request_duration_seconds_sum", 1, 0.1, "handler", "/")
		add("node_context_switches_total", 1e6, 1e4)
		add("node_memory_MemTotal_bytes", 8e9, 0)
		add("node_memory_MemAvailable_bytes", 4e9, -1e6)
		add("node_filesystem_size_bytes", 1e11, 0, "device", "/dev/sda1", "fstype", "ext4", "mountpoint", "/")
		add("node_filesystem_avail_bytes", 6e10, -1e6, "device", "/dev/sda1", "fstype", "ext4", "mountpoint", "/")
		for _, name := range []string{"node_disk_read_bytes_total", "node_disk_written_bytes_total", "node_disk_io_time_seconds_total"} {
			add(name, 1e3, 5, "device", "sda")
		}
		for _, name := range []string{"receive_bytes", "transmit_bytes", "receive_errs", "receive_drop"} {
			add("node_network_"+name+"_total", 1e3, 5, "device", "eth0")
		}
	}
	return all
}

// sortedLabels sorts names with their values.
func sortedLabels(ls []string) []string {
	for i := 2; i < len(ls); i += 2 {
		for j := i; j > 0 && ls[j] < ls[j-2]; j -= 2 {
			ls[j], ls[j-2], ls[j+1], ls[j-1] = ls[j-2], ls[j], ls[j-1], ls[j+1]
		}
	}
	return ls
}

// The provisioned data source is that of the README, plus settings needed by the
// dashboards.
func TestGrafanaProvisioningIsValid(t *testing.T) {
	var source struct {
		Datasources []struct{ Name, UID, Type, URL string }
	}
	readYAML(t, filepath.Join(grafanaDir, "provisioning", "datasources", "tsdb.yaml"), &source)
	if len(source.Datasources) != 1 || source.Datasources[0].UID != "tsdb" || source.Datasources[0].Type != "prometheus" || source.Datasources[0].URL != "http://localhost:9201" {
		t.Errorf("data source %+v", source)
	}
	var inReadme struct {
		Datasources []struct{ Name, Type, URL string }
	}
	if err := yaml.Unmarshal([]byte(readmeSnippet(t, "grafana", "localhost:9201")), &inReadme); err != nil {
		t.Fatal(err)
	}
	if len(inReadme.Datasources) != 1 || inReadme.Datasources[0].URL != source.Datasources[0].URL || inReadme.Datasources[0].Type != source.Datasources[0].Type {
		t.Errorf("README %+v", inReadme)
	}
	var provider struct {
		Providers []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	readYAML(t, filepath.Join(grafanaDir, "provisioning", "dashboards", "tsdb.yaml"), &provider)
	if len(provider.Providers) != 1 || provider.Providers[0].Type != "file" || provider.Providers[0].Options.Path == "" {
		t.Errorf("provider %+v", provider)
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
