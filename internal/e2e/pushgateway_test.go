package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tsdb/internal/await"
)

// A group that was pushed before the server was killed is known to the next one: what a
// PUT leaves out is gone from queries at once, and what a DELETE names too.
func TestPushedGroupsOutliveAKill(t *testing.T) {
	t.Parallel()
	client := newHTTPClient(t)
	s := newServer(t, t.TempDir())
	start := func() {
		s.start(t)
		s.waitReady(t)
	}
	push := func(method, path, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(a.Body)
		a.Body.Close()
		if a.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %s %s", method, path, a.Status, text)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		var got []string
		// A clock of milliseconds may show the marker only at the next one.
		await.Within(t.Context(), readyLimit, func() bool {
			got = nil
			for _, row := range queryVector(t, client, s.url(), `{__name__=~"rows|bytes"}`, time.Now()) {
				got = append(got, row.Metric["__name__"]+" "+row.Metric["instance"])
			}
			slices.Sort(got)
			return strings.Join(got, ",") == strings.Join(want, ",")
		})
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	start()
	push("PUT", "/metrics/job/backup", "rows 1\nbytes 2\n")
	push("PUT", "/metrics/job/backup/instance/db1", "rows 3\n")
	expect("bytes ", "rows ", "rows db1")
	s.kill()
	start()
	expect("bytes ", "rows ", "rows db1")
	push("PUT", "/metrics/job/backup", "rows 4\n")
	expect("rows ", "rows db1")
	s.kill()
	start()
	push("DELETE", "/metrics/job/backup/instance/db1", "")
	expect("rows ")
	s.stop(t)
	s.check(t)
}
