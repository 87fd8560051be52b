package ingest

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/model"
)

// A stale marker for a target that has come back is not stored before the samples of
// its new scrapes, and every other sample is, in any order.
func TestStaleMarkerDoesNotEndNewerSamples(t *testing.T) {
	d := openDoor(t)
	scrape := func(at int64, v float64, o promstorage.AOptions) {
		t.Helper()
		a := d.in.Appendable().AppenderV2(t.Context())
		if _, err := a.Append(0, labels.FromStrings("__name__", "up", "job", "a"), 0, at, v, nil, nil, o); err != nil {
			t.Fatal(err)
		}
		if err := a.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	stale, marker := math.Float64frombits(value.StaleNaN), promstorage.AOptions{RejectOutOfOrder: true}
	scrape(base, 1, promstorage.AOptions{})
	scrape(base+20, 2, promstorage.AOptions{})
	scrape(base+10, stale, marker)
	scrape(base+20, stale, marker)
	scrape(base+15, 3, promstorage.AOptions{}) // an exporter's own time
	scrape(base+30, stale, marker)
	scrape(base-40*model.DayMs, 4, promstorage.AOptions{}) // refused and counted
	got := d.storedFloats()[`{__name__="up", job="a"}`]
	if len(got) != 4 || got[base] != 1 || got[base+15] != 3 || got[base+20] != 2 || !value.IsStaleNaN(got[base+30]) {
		t.Errorf("%v", got)
	}
	if a := d.do("GET", "/api/v1/status/rejected", nil); !strings.Contains(a.body, `"scrape"`) || !strings.Contains(a.body, "too_old") {
		t.Error(a.body)
	}
}
