package remote

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A sender with a pace waits for the time at which a request is due, and counts latencies
// from then, but for those of its first requests.
func TestSendersKeepTheirPace(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	const every, requests, warmup = 2 * time.Millisecond, 20, 5
	begin := time.Now()
	r, err := SendAs(t.Context(), Form{Every: every, Warmup: warmup}, s.URL, []Source{&lineSource{requests}, &lineSource{requests}})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < (requests-warmup)*every {
		t.Errorf("%d requests took %s", requests, took)
	}
	if n.Load() != 2*requests || r.Requests != 2*requests || len(r.latencies) != 2*(requests-warmup) {
		t.Errorf("%d requests arrived; %d are reported, with %d latencies", n.Load(), r.Requests, len(r.latencies))
	}
	for _, l := range r.latencies {
		if l <= 0 {
			t.Errorf("a latency of %s", l)
		}
	}
}
