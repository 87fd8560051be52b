package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tsdb/internal/await"
)

// The days that are backfilled end before yesterday, so that their rollups are made
// without force, too.
const (
	backfillDays   = 10
	backfillSeries = 4
)

// backfill is a client that writes integer samples of past days. The value of a
// sample depends on its series and time only, and a request that was not acknowledged
// is repeated. So the server holds the samples of all requests but the last.
type backfill struct {
	end     time.Time // midnight
	rand    *rand.Rand
	pending []remoteSeries            // of the request that was not acknowledged
	acked   map[[2]int]map[int64]bool // times by series and day
}

func newBackfill(seed uint64) *backfill {
	return &backfill{end: time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour), rand: rand.New(rand.NewPCG(seed, 1)),
		acked: map[[2]int]map[int64]bool{}}
}

// day returns the start of a day.
func (b *backfill) day(n int) time.Time {
	return b.end.Add(time.Duration(n-backfillDays) * 24 * time.Hour)
}

// valueAt is a counter with a reset every 5 hours in even series, in others a gauge.
func (b *backfill) valueAt(series int, ms int64) float64 {
	if series%2 == 0 {
		return float64(ms % (5 * 3_600_000) / 1000)
	}
	return float64(ms / 1000 * 7919 % 1009)
}

// next makes a request: a span of every series on a day. Series 0 and 1 have a sample
// a second, which become buckets of a minute; of others the samples stand in.
func (b *backfill) next(day int) {
	from := b.day(day).Add(time.Duration(b.rand.IntN(23)) * time.Hour).UnixMilli()
	for k := range backfillSeries {
		step, n := int64(1000), 900
		if k > 1 {
			step, n = 30_000, 110
		}
		s := remoteSeries{labels: []string{"__name__", "backfill", "series", strconv.Itoa(k)}}
		for i := range n {
			t := from + int64(k) + int64(i)*step
			s.samples = append(s.samples, point{t, b.valueAt(k, t)})
		}
		b.pending = append(b.pending, s)
	}
}

// write sends the pending request and reports whether it was acknowledged.
func (b *backfill) write(ctx context.Context, c *http.Client, base string) (bool, error) {
	if len(b.pending) == 0 {
		return true, nil
	}
	r, err := writeRemote(ctx, c, base, b.pending)
	if err != nil || !r.acknowledged() {
		if err == nil && r.code != http.StatusServiceUnavailable {
			err = fmt.Errorf("answer %d: %s", r.code, r.body)
		}
		return false, err
	}
	for k, s := range b.pending {
		for _, p := range s.samples {
			key := [2]int{k, int(time.UnixMilli(p.t).Sub(b.day(0)) / (24 * time.Hour))}
			if b.acked[key] == nil {
				b.acked[key] = map[int64]bool{}
			}
			b.acked[key][p.t] = true
		}
	}
	b.pending = nil
	return true, nil
}

// settle repeats the pending request until it is acknowledged.
func (b *backfill) settle(t *testing.T, c *http.Client, base string) {
	t.Helper()
	for {
		done, err := b.write(t.Context(), c, base)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return
		}
		await.Pause(t.Context(), 5*time.Millisecond)
	}
}

// backfillQueries have the same answer to the bit from rollups and from samples: the
// values are integers.
var backfillQueries = []string{
	"rate(backfill[1h])", "increase(backfill[1h30s])", "sum_over_time(backfill[1h])", "max_over_time(backfill[2h])",
	"count_over_time(backfill[1h])", "changes(backfill[1h])", "resets(backfill[2h])", "last_over_time(backfill[1h])",
	"count(backfill)", "sum(rate(backfill[20m]))",
}

// verify expects the acknowledged samples, and the answers from rollups to be those
// from samples. It returns the number of buckets that were read.
func (b *backfill) verify(t *testing.T, c *http.Client, base string) (buckets int64) {
	t.Helper()
	form := func(query string, step time.Duration, resolution string) url.Values {
		return url.Values{"query": {query}, "nocache": {"1"}, "stats": {"all"}, "resolution": {resolution},
			"start": {seconds(b.day(0).Add(step))}, "end": {seconds(b.end)}, "step": {fmt.Sprint(step.Seconds())}}
	}
	// The window of a day leaves out its first millisecond, where no series has a sample
	// but the first, so it is shifted.
	for _, resolution := range []string{"raw", "auto"} {
		a := mustAsk(t, c, base, "/api/v1/query_range", form("count_over_time(backfill[1d] offset 1ms)", 24*time.Hour, resolution))
		found := map[[2]int]float64{}
		for labels, ps := range floatSeries(t, a.Data) {
			var m struct{ Series string }
			if err := json.Unmarshal([]byte(labels), &m); err != nil {
				t.Fatal(err)
			}
			k, err := strconv.Atoi(m.Series)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range ps {
				found[[2]int{k, int(time.UnixMilli(p.t).Sub(b.day(0))/(24*time.Hour)) - 1}] = p.v
			}
		}
		want := map[[2]int]float64{}
		for key, times := range b.acked {
			want[key] = float64(len(times))
		}
		if !maps.Equal(found, want) {
			t.Fatalf("resolution=%s: samples by series and day: %v, want %v", resolution, found, want)
		}
	}
	for _, query := range backfillQueries {
		auto := mustAsk(t, c, base, "/api/v1/query_range", form(query, time.Hour, "auto"))
		raw := mustAsk(t, c, base, "/api/v1/query_range", form(query, time.Hour, "raw"))
		expectSame(t, query, floatSeries(t, auto.Data), floatSeries(t, raw.Data))
		if !slices.Equal(sorted(auto.Warnings), sorted(raw.Warnings)) || !slices.Equal(sorted(auto.Infos), sorted(raw.Infos)) {
			t.Errorf("%s: warnings %q and infos %q, from samples %q and %q", query, auto.Warnings, auto.Infos, raw.Warnings, raw.Infos)
		}
		buckets += bucketsRead(t, auto)
		if n := bucketsRead(t, raw); n != 0 {
			t.Errorf("%s: resolution=raw reads %d buckets", query, n)
		}
	}
	return buckets
}

func bucketsRead(t *testing.T, a *answer) int64 {
	t.Helper()
	var data struct{ Stats struct{ BucketsRead int64 } }
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatal(err)
	}
	return data.Stats.BucketsRead
}

// expectSame compares two answers bit by bit.
func expectSame(t *testing.T, what string, got, want map[string][]point) {
	t.Helper()
	same := maps.EqualFunc(got, want, func(g, w []point) bool {
		return slices.EqualFunc(g, w, func(a, b point) bool { return a.t == b.t && math.Float64bits(a.v) == math.Float64bits(b.v) })
	})
	if !same {
		t.Errorf("%s: the answer from rollups is\n%v\nfrom samples\n%v", what, got, want)
	}
}

// The server is killed at random moments while past days are written, merged, rolled
// up, rolled up again and folded. After each start nothing acknowledged is lost,
// and queries answer from rollups as from samples.
func TestKillsBesideRollups(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TSDB_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TSDB_SEED=%d", seed)
	b, kills := newBackfill(seed), rand.New(rand.NewPCG(seed, 2))
	s := newServer(t, t.TempDir())
	client := newHTTPClient(t)
	s.start(t)
	s.waitReady(t)
	for day := range backfillDays {
		b.next(day)
		b.settle(t, client, s.url())
	}
	rounds, buckets := 5, int64(0)
	until := time.Now().Add(soak(t))
	for round := 0; round < rounds || time.Now().Before(until); round++ {
		if round > 0 {
			s.start(t)
			s.waitReady(t)
			b.settle(t, client, s.url())
			buckets += b.verify(t, client, s.url())
			if t.Failed() {
				return
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { b.writeUntil(ctx, t, client, s.url()) })
		work.Go(func() { compactUntil(ctx, client, s.url()) })
		await.Pause(ctx, time.Duration(20+kills.IntN(600))*time.Millisecond) // any moment will do
		s.kill()
		cancel()
		work.Wait()
		s.noPanic(t)
		s.check(t)
	}
	s.start(t)
	s.waitReady(t)
	b.settle(t, client, s.url())
	s.post(t, "/api/v1/admin/compact")
	if buckets += b.verify(t, client, s.url()); buckets == 0 {
		t.Error("no query has read a bucket: the test tested little")
	}
	t.Logf("%d buckets read", buckets)
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}

// writeUntil writes to random days until ctx ends or the server is killed.
func (b *backfill) writeUntil(ctx context.Context, t *testing.T, c *http.Client, base string) {
	for await.Pause(ctx, time.Duration(b.rand.IntN(100))*time.Millisecond) {
		if len(b.pending) == 0 {
			b.next(b.rand.IntN(backfillDays))
		}
		if _, err := b.write(context.WithoutCancel(ctx), c, base); err != nil && ctx.Err() == nil {
			await.Pause(ctx, time.Millisecond) // killed
		}
	}
}

// compactUntil makes the server merge, roll up and fold all the time. It may be killed
// meanwhile, so the answers do not matter.
func compactUntil(ctx context.Context, c *http.Client, base string) {
	for await.Pause(ctx, time.Millisecond) {
		_, _ = send(ctx, c, base+"/api/v1/admin/compact", nil, http.Header{})
	}
}
