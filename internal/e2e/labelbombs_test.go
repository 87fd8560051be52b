package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Queries that create large labels, over 50,000 series in a server limited to 600 MiB:
// each fails with the limit it exceeds, memory stays bounded, and the next query is
// answered.
func TestQueriesThatMakeLargeLabelsLeaveTheServerAlive(t *testing.T) {
	const memory, series = 600 << 20, 50_000
	s := newServer(t, t.TempDir())
	confined := confine(t, s, memory)
	s.start(t)
	s.waitReady(t)
	client := newHTTPClient(t)
	now := time.Now()
	for from := 0; from < series; from += 5000 {
		var lines strings.Builder
		for i := from; i < from+5000; i++ {
			fmt.Fprintf(&lines, "node,instance=host-%05d.example.org:9100,device=disk%d io_%d=%d %d\n", i/10, i%10, i%7, i, now.UnixMilli())
		}
		resp, err := client.Post(s.url()+"/write?db=x&precision=ms", "", strings.NewReader(lines.String()))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("write: %s", resp.Status)
		}
	}
	ask := func(query string) (int, string) {
		t.Helper()
		resp, err := client.PostForm(s.url()+"/api/v1/query", url.Values{"query": {query}, "time": {fmt.Sprint(now.Unix() + 1)}})
		if err != nil {
			t.Fatalf("%.60s …: %v", query, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	count := "count({__name__=~\"node_.+\"})"
	if code, body := ask(count); code != http.StatusOK || !strings.Contains(body, `"50000"`) {
		t.Fatalf("%d %s", code, body)
	}
	joined := "label_join({__name__=~\"node_.+\"}, \"x\", \",\"" + strings.Repeat(", \"instance\"", 20_000) + ")"
	doubled := "{__name__=~\"node_.+\"}"
	for range 40 {
		doubled = "label_replace(" + doubled + ", \"instance\", \"$1$1\", \"instance\", \"(.*)\")"
	}
	queries := []string{"count(" + joined + ")", "count(" + doubled + ")", doubled}
	for _, query := range queries {
		code, body := ask(query)
		if code != http.StatusUnprocessableEntity || !strings.Contains(body, "--limit.label-value") && !strings.Contains(body, "--query.max-total-bytes") {
			t.Errorf("%.60s …: %d %.300s", query, code, body)
		}
	}
	// Several at once may first exceed the memory limit of all queries.
	var bombs sync.WaitGroup
	for range 3 {
		for _, query := range queries {
			bombs.Go(func() {
				code, body := ask(query)
				if code != http.StatusUnprocessableEntity && code != http.StatusServiceUnavailable ||
					!strings.Contains(body, "--limit.label-value") && !strings.Contains(body, "--query.max-total-bytes") {
					t.Errorf("%.60s …: %d %.300s", query, code, body)
				}
			})
		}
	}
	bombs.Wait()
	if code, body := ask(count); code != http.StatusOK || !strings.Contains(body, `"50000"`) {
		t.Errorf("after the bombs: %d %.300s", code, body)
	}
	peak := s.peakRSS(t)
	t.Logf("control group: %t, peak %d MiB", confined, peak>>20)
	if peak > memory {
		t.Errorf("peak memory of %d MiB, bound is %d MiB", peak>>20, memory>>20)
	}
	if !s.running() {
		t.Error("the server has ended")
	}
	s.noPanic(t)
}
