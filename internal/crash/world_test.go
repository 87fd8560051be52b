package crash

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"tsdb/api/ingest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage"
	"tsdb/storage/doctor"
)

const (
	dataDir   = "data"
	retention = 3 * model.DayMs
)

// begin is two minutes before midnight, so that the workload crosses days.
var begin = time.Date(2026, 3, 10, 23, 58, 0, 0, time.UTC)

func options(clock vfs.Clock) storage.Options {
	return storage.Options{
		RetentionMs: retention, TierRetentionMs: map[block.Tier]int64{block.Minute: 2 * retention, block.Hour: 0}, Clock: clock, Seed: 42, CacheBytes: -1,
		WALSegmentBytes: 16 << 10, WALPendingBytes: 64 << 10, ReserveBytes: 4 << 10, MinFreeBytes: 1,
	}
}

// world is a database on a file system in memory, its doors, and the client
// that keeps the ledger.
type world struct {
	clock    *vfs.ManualClock
	fs       vfs.FS
	tiers    map[block.Tier]int64 // retention of rollups; nil = as in options
	db       *storage.DB
	doors    *http.ServeMux
	rand     *rand.Rand
	ledger   ledger
	lastSent []write // what the present step has sent
	ok       int     // requests acknowledged
	failed   int     // requests answered with an error
}

func newWorld(fs vfs.FS, seed int64) *world {
	return &world{clock: vfs.NewManualClock(begin), fs: fs, rand: rand.New(rand.NewSource(seed)), ledger: ledger{}}
}

func (w *world) open() error {
	o := options(w.clock)
	if w.tiers != nil {
		o.TierRetentionMs = w.tiers
	}
	db, err := storage.Open(context.Background(), w.fs, dataDir, o)
	if err != nil {
		return err
	}
	w.db = db
	w.doors = http.NewServeMux()
	ingest.New(ingest.Options{DB: func() (*storage.DB, error) { return db, nil }, InfluxDBLabel: "db", Seed: 7, Clock: w.clock}).Register(w.doors)
	return nil
}

// abandon closes the database without a cut.
func (w *world) abandon() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.db.Close(ctx)
}

func (w *world) now() int64 { return w.clock.Now().UnixMilli() }

// series names and what they hold.
const (
	floatSeries = 8
	histSeries  = 2
	hosts       = 2
)

// remoteWrite sends one remote-write request: new samples of every series,
// now and then late ones, overwritten ones and stale markers.
func (w *world) remoteWrite() error {
	req := prompb.WriteRequest{}
	var ws []write
	now := w.now()
	for i := range floatSeries {
		name, id := fmt.Sprintf("m%d", i%3), fmt.Sprint(i)
		ts := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}, {Name: "i", Value: id}}}
		add := func(t int64, v float64) {
			ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: t, Value: v})
			ws = append(ws, write{key{fmt.Sprintf(`{__name__="%s", i="%s"}`, name, id), t}, renderFloat(v), math.Float64bits(v) == math.Float64bits(staleMarker)})
		}
		add(now-int64(i), w.value())
		switch w.rand.Intn(5) {
		case 0: // late, up to two days
			add(now-w.rand.Int63n(2*model.DayMs)-1000, w.value())
		case 1: // the same key again: the last wins
			add(now-int64(i), w.value())
		case 2: // a stale marker at a key that has a number: the number stays
			add(now-int64(i), staleMarker)
		case 3: // an older key overwritten in a later request
			add(now-now%(6*model.HourMs)-int64(i), w.value())
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	for i := range histSeries {
		id := fmt.Sprint(i)
		n := uint64(w.rand.Intn(50))
		h := &histogram.Histogram{Schema: 1, ZeroThreshold: 1e-128, ZeroCount: 1, Count: n + 3, Sum: float64(n),
			PositiveSpans: []histogram.Span{{Offset: int32(i), Length: 2}}, PositiveBuckets: []int64{int64(n), 2 - int64(n)}}
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:     []prompb.Label{{Name: "__name__", Value: "h"}, {Name: "i", Value: id}},
			Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, h)},
		})
		ws = append(ws, write{key{fmt.Sprintf(`{__name__="h", i="%s"}`, id), now}, "histogram " + h.String(), false})
	}
	raw, err := req.Marshal()
	if err != nil {
		return err
	}
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(snappy.Encode(nil, raw)))
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Content-Encoding", "snappy")
	return w.send(r, ws)
}

// influx sends one body of the line protocol.
func (w *world) influx() error {
	var body bytes.Buffer
	var ws []write
	for h := range hosts {
		v, u := w.rand.NormFloat64(), float64(w.rand.Intn(100))
		t := w.now() - int64(h)*w.rand.Int63n(model.DayMs)
		fmt.Fprintf(&body, "cpu,host=h%d idle=%v,user=%v %d\n", h, v, u, t*1_000_000)
		for f, v := range map[string]float64{"idle": v, "user": u} {
			ws = append(ws, write{key{fmt.Sprintf(`{__name__="cpu_%s", db="d", host="h%d"}`, f, h), t}, renderFloat(v), false})
		}
	}
	return w.send(httptest.NewRequest(http.MethodPost, "/write?db=d", &body), ws)
}

func (w *world) send(r *http.Request, ws []write) error {
	w.lastSent = append(w.lastSent, ws...)
	rec := httptest.NewRecorder()
	w.doors.ServeHTTP(rec, r)
	if rec.Code/100 == 2 {
		w.ledger.acknowledged(ws)
		w.ok++
		return nil
	}
	w.ledger.doubtful(ws)
	w.failed++
	return fmt.Errorf("status %d: %s", rec.Code, rec.Body)
}

func (w *world) value() float64 {
	switch w.rand.Intn(6) {
	case 0:
		return math.Float64frombits(0x7ff8_0000_0000_0000 | uint64(w.rand.Intn(1000)+5))
	case 1:
		return 5e-324 // a -0 would not do: the message's own encoder drops the sign
	case 2:
		return float64(w.rand.Intn(1000))
	}
	return w.rand.NormFloat64()
}

// steps is the workload: requests through both doors while the clock runs over
// days, with cuts, merges and retention in between. Each returns what a client
// or an operator would see.
func (w *world) steps(rounds int) []func() error {
	flush := func() error { _, err := w.db.Flush(context.Background()); return err }
	compact := func() error { _, err := w.db.Compact(context.Background()); return err }
	retain := func() error { return w.db.Retain(context.Background()) }
	var steps []func() error
	for i := range rounds {
		steps = append(steps, w.remoteWrite, w.influx, func() error {
			w.clock.Advance(time.Duration(1+w.rand.Intn(300)) * time.Minute)
			return nil
		})
		switch {
		case i%9 == 8:
			steps = append(steps, compact, retain)
		case i%3 == 2:
			steps = append(steps, flush)
		}
	}
	return steps
}

// found reads all samples of the database.
func found(db *storage.DB) (map[key]string, error) {
	v, err := db.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	set, err := v.Select(context.Background(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	if err != nil {
		return nil, err
	}
	got := make(map[key]string)
	var s model.Samples
	for i := range set.Len() {
		series := set.At(i)
		s.Reset()
		if err := series.Samples(context.Background(), model.AllTime, &s); err != nil {
			return nil, err
		}
		for j := range s.T {
			k := key{series.Labels.String(), s.T[j]}
			if _, twice := got[k]; twice || j > 0 && s.T[j-1] >= s.T[j] {
				return nil, fmt.Errorf("%s has the time %d twice or out of order", k.series, k.t)
			}
			got[k] = renderAt(&s, j)
		}
	}
	if ws := set.Warnings(); len(ws) > 0 {
		return nil, fmt.Errorf("%d warnings, the first: %w", len(ws), ws[0])
	}
	return got, nil
}

// reopened opens the database after a crash, compares it with the ledger, checks the
// files, and does both again: a second open must find the same.
func reopened(fs vfs.FS, at time.Time, l ledger) error {
	var first map[key]string
	for round := range 2 {
		w := newWorld(fs, 0)
		w.clock = vfs.NewManualClock(at)
		if err := w.open(); err != nil {
			return fmt.Errorf("open %d: %w", round+1, err)
		}
		got, err := found(w.db)
		if err == nil {
			var rows int
			rows, err = tiersAnswer(w.db)
			rowsOfTiers.Add(int64(rows))
		}
		w.abandon()
		if err != nil {
			return fmt.Errorf("read after open %d: %w", round+1, err)
		}
		if err := l.compare(got, at.UnixMilli()-retention); err != nil {
			return fmt.Errorf("after open %d: %w", round+1, err)
		}
		if first != nil && !maps.Equal(first, got) {
			return fmt.Errorf("second open finds %d samples, the first %d, or others", len(got), len(first))
		}
		first = got
		if err := checked(fs); err != nil {
			return fmt.Errorf("check after open %d: %w", round+1, err)
		}
	}
	return nil
}

// checked runs the check of a data directory and fails the test on damage; notes are
// accepted.
func checked(fs vfs.FS) error {
	report, err := doctor.Check(context.Background(), fs, dataDir)
	if err != nil {
		return err
	}
	if len(report.Damage) > 0 {
		return fmt.Errorf("%d findings, the first: %+v", len(report.Damage), report.Damage[0])
	}
	return nil
}

// rowsOfTiers counts the rows that tiersAnswer found.
var rowsOfTiers atomic.Int64

// TestMain fails a run of all tests in which no test found rows of rollups.
func TestMain(m *testing.M) {
	code := m.Run()
	if flag.Lookup("test.run").Value.String() == "" && code == 0 && rowsOfTiers.Load() == 0 {
		fmt.Println("no rows of rollups were found after crashes and faults")
		code = 1
	}
	os.Exit(code)
}
