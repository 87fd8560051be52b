package e2e

import (
	"context"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"tsdb/internal/await"
)

// The server is killed at random moments: while it starts, while two clients write
// with both protocols, while it cuts and merges. After each kill the directory is
// sound. After each start every acknowledged sample is present exactly once, bit for
// bit, and no sample that was never sent.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	seed := time.Now().UnixNano()
	if s := os.Getenv("TSDB_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TSDB_SEED=%d", seed)
	r := rand.New(rand.NewSource(seed))
	s := newServer(t, t.TempDir())
	client := newHTTPClient(t)
	ledgers := []*ledger{newLedger(remoteWriteDoor, 0, r.Int63()), newLedger(influxDoor, 1, r.Int63())}

	rounds := 20
	until := time.Now().Add(soak(t))
	for round := 0; round < rounds || time.Now().Before(until); round++ {
		s.start(t)
		// In every fourth round the server is killed while it replays the log.
		if round%4 != 3 {
			s.waitReady(t)
			for _, l := range ledgers {
				l.verify(t, client, s.url())
			}
			if t.Failed() {
				return
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for _, l := range ledgers {
			clients.Go(func() { writeUntil(ctx, t, l, client, s.url()) })
		}
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
	for _, l := range ledgers {
		l.verify(t, client, s.url())
	}
	s.post(t, "/api/v1/admin/compact")
	for _, l := range ledgers {
		l.verify(t, client, s.url())
		t.Logf("%s: %d samples acknowledged", l.door.metric(), l.ackedSamples())
		if l.ackedSamples() < rounds*ledgerBatch/2 {
			t.Errorf("only %d samples were acknowledged: the test tested little", l.ackedSamples())
		}
	}
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}

// writeUntil writes until ctx ends; the server may be killed at any time. It waits
// for the last response: a server may store a request whose client has
// disconnected, even after it has answered a later query.
func writeUntil(ctx context.Context, t *testing.T, l *ledger, c *http.Client, base string) {
	for ctx.Err() == nil {
		r, err := l.write(context.WithoutCancel(ctx), c, base)
		switch {
		case err != nil:
			await.Pause(ctx, time.Millisecond) // not up yet, or killed
		case r.code == http.StatusServiceUnavailable:
			if r.retryAfter == "" {
				t.Errorf("503 without Retry-After: %s", r.body)
			}
			await.Pause(ctx, 5*time.Millisecond)
		case !r.acknowledged():
			t.Errorf("%s: answer %d: %s", l.door.metric(), r.code, r.body)
			return
		}
	}
}

// disturb makes the server cut and merge at random intervals.
func disturb(ctx context.Context, c *http.Client, base string, seed int64) {
	r := rand.New(rand.NewSource(seed))
	for await.Pause(ctx, time.Duration(r.Intn(150))*time.Millisecond) {
		path := "/api/v1/admin/flush"
		if r.Intn(4) == 0 {
			path = "/api/v1/admin/compact"
		}
		// The server may be killed meanwhile, so the answer does not matter.
		_, _ = send(ctx, c, base+path, nil, http.Header{})
	}
}
