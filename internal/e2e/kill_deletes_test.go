package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"tsdb/internal/await"
)

const (
	deletedSeries = 10
	deletedTimes  = 10 // of each series, a second apart
)

// deletedKey is a series and a time.
type deletedKey struct{ series, at int }

// deleter writes a number to every series and time, then deletes some, then writes
// the next number. It knows what has to be there.
type deleter struct {
	begin  time.Time
	rand   *rand.Rand
	sure   map[deletedKey]float64
	doubt  map[deletedKey]float64 // the state after the request that got no answer; nil = all had one
	whole  bool                   // that request is there as a whole or not at all
	number float64
	acked  int // deletions
}

// step sends one request and reports whether it was answered with success.
func (d *deleter) step(ctx context.Context, c *http.Client, base string) (bool, error) {
	after := maps.Clone(d.sure)
	var r reply
	var err error
	d.whole = d.rand.Intn(2) == 0
	if d.whole {
		series, from := d.rand.Intn(deletedSeries), d.rand.Intn(deletedTimes)
		to := from + d.rand.Intn(deletedTimes-from)
		maps.DeleteFunc(after, func(k deletedKey, _ float64) bool { return k.series <= series && k.at >= from && k.at <= to })
		d.doubt = after
		r, err = send(ctx, c, base+"/api/v1/admin/tsdb/delete_series?"+url.Values{
			"match[]": {fmt.Sprintf(`del{i=~"[0-%d]"}`, series)},
			"start":   {seconds(d.begin.Add(time.Duration(from) * time.Second))},
			"end":     {seconds(d.begin.Add(time.Duration(to) * time.Second))},
		}.Encode(), nil, http.Header{})
	} else {
		d.number++
		var list []remoteSeries
		for i := range deletedSeries {
			s := remoteSeries{labels: []string{"__name__", "del", "i", fmt.Sprint(i)}}
			for k := range deletedTimes {
				s.samples = append(s.samples, point{d.begin.Add(time.Duration(k) * time.Second).UnixMilli(), d.number})
				after[deletedKey{i, k}] = d.number
			}
			list = append(list, s)
		}
		d.doubt = after
		r, err = writeRemote(ctx, c, base, list)
	}
	if err != nil || !r.acknowledged() {
		if err == nil && r.code != http.StatusServiceUnavailable {
			err = fmt.Errorf("answer %d: %s", r.code, r.body)
		}
		return false, err
	}
	if d.whole {
		d.acked++
	}
	d.sure, d.doubt = after, nil
	return true, nil
}

// verify compares what is there with what was acknowledged.
func (d *deleter) verify(t *testing.T, c *http.Client, base string) {
	t.Helper()
	found := map[deletedKey]float64{}
	for _, s := range readRaw(t, c, base, "del", d.begin.Add(time.Minute), time.Hour) {
		var i int
		fmt.Sscan(s.Metric["i"], &i)
		for _, p := range s.Values {
			found[deletedKey{i, int(p.t-d.begin.UnixMilli()) / 1000}] = p.v
		}
	}
	ok := maps.Equal(found, d.sure)
	switch {
	case ok || d.doubt == nil:
	case d.whole:
		ok = maps.Equal(found, d.doubt)
	default: // each sample of a write may be there or not
		ok = true
		for k, v := range d.doubt {
			got, there := found[k]
			was, before := d.sure[k]
			ok = ok && (there && got == v || there == before && got == was)
		}
	}
	if !ok {
		t.Errorf("%d samples, acknowledged are %d; the last request (a deletion: %v) would leave %d", len(found), len(d.sure), d.whole, len(d.doubt))
	}
	d.sure, d.doubt = found, nil
}

// The server is killed beside deletions, writes to the same keys, cuts and merges. After
// each start an acknowledged deletion is there, one without an answer as a whole or not
// at all, and what was written again after one is there.
func TestKillsBesideDeletions(t *testing.T) {
	t.Parallel()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewSource(seed))
	s := newServer(t, t.TempDir())
	client := newHTTPClient(t)
	d := &deleter{begin: time.Now().Add(-time.Minute).Truncate(time.Second), rand: rand.New(rand.NewSource(r.Int63())), sure: map[deletedKey]float64{}}
	until := time.Now().Add(soak(t))
	for round := 0; round < 10 || time.Now().Before(until); round++ {
		s.start(t)
		s.waitReady(t)
		d.verify(t, client, s.url())
		if t.Failed() {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		clients.Go(func() {
			for ctx.Err() == nil {
				if ok, err := d.step(context.WithoutCancel(ctx), client, s.url()); !ok {
					if err == nil {
						continue
					}
					return // killed; verify judges the last request
				}
			}
		})
		disturbSeed := r.Int63()
		clients.Go(func() { disturb(ctx, client, s.url(), disturbSeed) })
		await.Pause(ctx, time.Duration(50+r.Intn(451))*time.Millisecond) // any moment will do
		s.kill()
		cancel()
		clients.Wait()
		s.noPanic(t)
		s.check(t)
	}
	s.start(t)
	s.waitReady(t)
	d.verify(t, client, s.url())
	s.post(t, "/api/v1/admin/tsdb/clean_tombstones")
	d.verify(t, client, s.url())
	if d.acked < 20 {
		t.Errorf("only %d deletions were acknowledged: the test tested little", d.acked)
	}
	t.Logf("%d deletions acknowledged", d.acked)
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}
