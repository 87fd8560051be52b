package admission

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

func TestTrackersHoldNoMoreThanTheirLimits(t *testing.T) {
	all := &Memory{limit: 800 << 20}
	fails := func(err error, limit Limit, parts ...string) {
		t.Helper()
		var e *LimitError
		if !errors.As(err, &e) || e.Limit != limit {
			t.Errorf("got %v, want the limit %s", err, limit)
			return
		}
		for _, p := range parts {
			if !strings.Contains(e.Error(), p) {
				t.Errorf("%q does not say %q", e, p)
			}
		}
	}
	works := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	big := &Tracker{shared: all, Limits: Limits{Bytes: 500 << 20}}
	works(big.Reserve(499 << 20))
	fails(big.Reserve(2<<20), LimitBytes, "501 MiB", "500 MiB", "--query.max-bytes")
	fails(big.Fits(2<<20), LimitBytes)
	works(big.Reserve(1 << 20))

	// An eighth, 100 MiB, is left to small ones.
	other := &Tracker{shared: all, Limits: Limits{}}
	works(other.Reserve(200 << 20))
	fails(other.Reserve(1<<20), LimitTotalBytes, "701 MiB", "800 MiB", "100 MiB", "--query.max-total-bytes", "later")
	if err := other.Reserve(1 << 20); !errors.Is(err, ErrOverloaded) {
		t.Errorf("%v is not a matter of load", err)
	}
	var small [7]Tracker
	for i := range small {
		small[i].shared = all
		if err := small[i].Reserve(smallBytes); i < 6 {
			works(err)
		} else {
			fails(err, LimitTotalBytes, "812 MiB", "800 MiB")
		}
	}
	// One that would not fit if it were alone need not try again.
	err := other.Reserve(600 << 20)
	fails(err, LimitTotalBytes, "alone would hold 800 MiB", "800 MiB", "100 MiB", "--query.max-total-bytes")
	if errors.Is(err, ErrOverloaded) || strings.Contains(err.Error(), "later") {
		t.Errorf("%v is a matter of load", err)
	}
	all.cache = 50 << 20
	err = other.Reserve(451 << 20)
	fails(err, LimitTotalBytes, "alone would hold 651 MiB", "150 MiB are kept for small queries and the cache")
	if all.cache = 0; errors.Is(err, ErrOverloaded) {
		t.Errorf("%v is a matter of load", err)
	}
	big.Release(1 << 20)
	works(small[6].Reserve(5 << 20))
	for _, u := range append([]*Tracker{big, other}, &small[0], &small[1], &small[2], &small[3], &small[4], &small[5], &small[6]) {
		u.Close()
		u.Close()
		if n := u.held.Load(); n != 0 {
			t.Errorf("%d bytes held after the end", n)
		}
	}
	if n := all.held.Load(); n != 0 {
		t.Errorf("%d bytes held after all queries ended", n)
	}
}

func TestSelectedAndReadAreCounted(t *testing.T) {
	u := &Tracker{shared: &Memory{}, Limits: Limits{Series: 1000, Samples: 500}}
	of := func(i int) labels.Labels { return labels.FromStrings("i", strings.Repeat("x", 96)) }
	if err := errors.Join(u.ReserveSeries(990), u.CountSeries(990, of)); err != nil || u.held.Load() < 990*200 || u.held.Load() > 990*300 {
		t.Errorf("%v, %d bytes for 990 series", err, u.held.Load())
	}
	for n, want := range map[int]string{11: "selects 1001 series, more than the 1000 of --query.max-series"} {
		if err := u.CountSeries(n, of); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	if err := u.CountSamples(500); err != nil {
		t.Error(err)
	}
	if err := u.CountSamples(1); err == nil || !strings.Contains(err.Error(), "read 501 samples, more than the 500 of --query.max-samples-read") {
		t.Errorf("got %v", err)
	}
	var none *Tracker
	if err := errors.Join(none.Reserve(1<<60), none.ReserveSeries(1<<40), none.CountSeries(1<<30, of), none.CountSamples(1<<60)); err != nil {
		t.Errorf("a reader without limits got %v", err)
	}
	none.Release(1)
}

// Concurrent reservations and releases add up to nothing in the end.
func TestTrackersAreSafe(t *testing.T) {
	all := &Memory{limit: 1 << 20}
	var wg sync.WaitGroup
	for range 4 {
		u := &Tracker{shared: all, Limits: Limits{Bytes: 1 << 19}}
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				for i := range int64(2000) {
					if u.Reserve(i*100) == nil && i%3 > 0 {
						u.Release(i * 100)
					}
				}
			})
		}
		wg.Go(func() {
			workers.Wait()
			u.Close()
		})
	}
	wg.Wait()
	if n := all.held.Load(); n != 0 {
		t.Errorf("%d bytes left", n)
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 1536: "1.5 KiB", 1 << 30: "1 GiB", 1288490189: "1.2 GiB",
		123 << 20: "123 MiB", 12<<20 + 1<<19: "12.5 MiB", 1 << 62: "4194304 TiB",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
