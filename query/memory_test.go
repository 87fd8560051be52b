package query

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
)

func TestTrackersHoldNoMoreThanTheirLimits(t *testing.T) {
	all := &memory{limit: 800 << 20}
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
	big := &tracker{all: all, limits: limits{bytes: 500 << 20}}
	works(big.take(499 << 20))
	fails(big.take(2<<20), LimitBytes, "501 MiB", "500 MiB", "--query.max-bytes")
	fails(big.fits(2<<20), LimitBytes)
	works(big.take(1 << 20))

	// An eighth, 100 MiB, is left to small ones.
	other := &tracker{all: all, limits: limits{}}
	works(other.take(200 << 20))
	fails(other.take(1<<20), LimitTotalBytes, "701 MiB", "800 MiB", "100 MiB", "--query.max-total-bytes", "later")
	if err := other.take(1 << 20); !errors.Is(err, ErrOverloaded) {
		t.Errorf("%v is not a matter of load", err)
	}
	var small [7]tracker
	for i := range small {
		small[i].all = all
		if err := small[i].take(smallBytes); i < 6 {
			works(err)
		} else {
			fails(err, LimitTotalBytes, "812 MiB", "800 MiB")
		}
	}
	// One that would not fit if it were alone need not try again.
	err := other.take(600 << 20)
	fails(err, LimitTotalBytes, "alone would hold 800 MiB", "800 MiB", "100 MiB", "--query.max-total-bytes")
	if errors.Is(err, ErrOverloaded) || strings.Contains(err.Error(), "later") {
		t.Errorf("%v is a matter of load", err)
	}
	all.cache = 50 << 20
	err = other.take(451 << 20)
	fails(err, LimitTotalBytes, "alone would hold 651 MiB", "150 MiB are kept for small queries and the cache")
	if all.cache = 0; errors.Is(err, ErrOverloaded) {
		t.Errorf("%v is a matter of load", err)
	}
	big.give(1 << 20)
	works(small[6].take(5 << 20))
	for _, u := range append([]*tracker{big, other}, &small[0], &small[1], &small[2], &small[3], &small[4], &small[5], &small[6]) {
		u.close()
		u.close()
		if n := u.held.Load(); n != 0 {
			t.Errorf("%d bytes held after the end", n)
		}
	}
	if n := all.held.Load(); n != 0 {
		t.Errorf("%d bytes held by nobody", n)
	}
}

func TestSelectedAndReadAreCounted(t *testing.T) {
	u := &tracker{all: &memory{}, limits: limits{series: 1000, read: 500}}
	of := func(i int) labels.Labels { return labels.FromStrings("i", strings.Repeat("x", 96)) }
	if err := errors.Join(u.moreSeries(990), u.selected(990, of)); err != nil || u.held.Load() < 990*200 || u.held.Load() > 990*300 {
		t.Errorf("%v, %d bytes for 990 series", err, u.held.Load())
	}
	for n, want := range map[int]string{11: "selects 1001 series, more than the 1000 of --query.max-series"} {
		if err := u.selected(n, of); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	if err := u.readMore(500); err != nil {
		t.Error(err)
	}
	if err := u.readMore(1); err == nil || !strings.Contains(err.Error(), "read 501 samples, more than the 500 of --query.max-samples-read") {
		t.Errorf("got %v", err)
	}
	var none *tracker
	if err := errors.Join(none.take(1<<60), none.moreSeries(1<<40), none.selected(1<<30, of), none.readMore(1<<60)); err != nil {
		t.Errorf("a reader without limits got %v", err)
	}
	none.give(1)
}

// What many take and give at the same time comes to nothing in the end.
func TestTrackersAreSafe(t *testing.T) {
	all := &memory{limit: 1 << 20}
	var wg sync.WaitGroup
	for range 4 {
		u := &tracker{all: all, limits: limits{bytes: 1 << 19}}
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				for i := range int64(2000) {
					if u.take(i*100) == nil && i%3 > 0 {
						u.give(i * 100)
					}
				}
			})
		}
		wg.Go(func() {
			workers.Wait()
			u.close()
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
