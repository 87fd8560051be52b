package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
	"tsdb/storage/cardinality"
)

// The pace of the job that counts days.
const (
	countEvery    = time.Minute
	countPauseOf  = 4 // after a day it rests for this many times as long as that took
	countPauseMin = 100 * time.Millisecond
)

// dayCounts counts the series of each day in the background, so that reports of weeks read
// no index. cardinality.Next says which day; the counts are those of Cardinality and Churn.
type dayCounts struct {
	*env
	views *views
	churn *churnCache
	store *cardinality.Store
	// pause is called between blocks, as that of a merge.
	pause func(ctx context.Context) error

	mu      sync.Mutex    // held while a day is counted, I/O included
	took    time.Duration // to count the running day
	waiting atomic.Int64  // days that were to be counted, at the last look
}

// newDayCounts opens the counts of a database.
func newDayCounts(e *env, v *views, churn *churnCache) *dayCounts {
	store, err := cardinality.Open(e.fs, e.dir)
	if err != nil {
		e.log.Warn("the counts of days are not readable, they are counted again", "err", err)
	}
	return &dayCounts{env: e, views: v, churn: churn, store: store}
}

// run counts days until ctx ends.
func (d *dayCounts) run(ctx context.Context) {
	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-d.opts.Clock.After(pause):
		}
		pause = countEvery
		if !d.jobs.counts.Due() {
			continue
		}
		began := d.opts.Clock.Now()
		if worked, err := d.next(ctx); worked && err == nil {
			pause = max(countPauseOf*d.opts.Clock.Now().Sub(began), countPauseMin)
		}
	}
}

// CountDays counts the days that are to be counted now.
func (db *DB) CountDays(ctx context.Context) error {
	for {
		if worked, err := db.counts.next(ctx); err != nil || !worked {
			return err
		}
	}
}

// next counts the day that is planned next. It reports whether there was one.
func (d *dayCounts) next(ctx context.Context) (worked bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err = d.jobs.counts.Run(ctx, func(ctx context.Context) error {
		st := d.views.pin()
		if st == nil {
			return ErrClosed
		}
		v := &View{views: d.views, st: st}
		defer v.Release()
		if d.pause != nil {
			v.SetReadOptions(ReadOptions{Yield: func() error { return d.pause(ctx) }})
		}
		now := d.opts.Clock.Now()
		today := cardinality.DayOf(now.UnixMilli())
		states, err := d.states(ctx, v, today)
		if err != nil {
			return err
		}
		kept := d.store.Infos()
		day, ok := cardinality.Next(kept, states, today, now, d.took)
		d.waiting.Store(cardinality.Waiting(kept, states, today))
		if !ok {
			return nil
		}
		worked = true
		d.jobs.counts.Progress("series of "+cardinality.Date(day), "")
		i := slices.IndexFunc(states, func(s cardinality.State) bool { return s.Day == day })
		if err := d.count(ctx, v, states[i], day == today); err != nil {
			return err
		}
		if day == today {
			d.took = d.opts.Clock.Now().Sub(now)
		}
		return nil
	})
	return worked, err
}

// states describes the days that may be kept.
func (d *dayCounts) states(ctx context.Context, v *View, today int64) ([]cardinality.State, error) {
	places, err := newCensus(v, model.DefaultTenant, nil, nil)
	if err != nil {
		return nil, err
	}
	states := make([]cardinality.State, 0, cardinality.MaxDays)
	for day := today - cardinality.MaxDays + 1; day <= today; day++ {
		tr := cardinality.Range(day)
		both := model.TimeRange{Min: tr.Min - model.DayMs, Max: tr.Max} // the day before says what is new
		inMemory := func(tr model.TimeRange) bool { return len(v.st.buffersIn(v.st.visible(tr))) > 0 }
		s := cardinality.State{Day: day, Expired: v.st.visible(tr).Empty(), Moving: inMemory(both)}
		parts, err := places.parts(ctx, tr)
		if err != nil {
			return nil, err
		}
		s.Empty = len(parts) == 0 && !inMemory(tr)
		basis, err := places.basis(ctx, both)
		if err != nil {
			return nil, err
		}
		s.Basis = xxh3.HashString(basis)
		for i := range v.st.tombstones {
			if t := &v.st.tombstones[i]; t.Tenant == model.DefaultTenant && t.Range.Overlaps(both) {
				s.Deletion = max(s.Deletion, t.ID)
			}
		}
		states = append(states, s)
	}
	return states, nil
}

// count counts a day and keeps the result.
func (d *dayCounts) count(ctx context.Context, v *View, s cardinality.State, running bool) error {
	tables, err := d.tables(ctx, v, s.Day)
	if err != nil {
		return err
	}
	news, err := d.news(ctx, v, s.Day)
	if err != nil {
		return err
	}
	day := cardinality.Day{
		Info:   cardinality.Info{Day: s.Day, Running: running, Counted: d.opts.Clock.Now().Unix(), Basis: s.Basis, Deletion: s.Deletion},
		Series: tables.Series, Pairs: tables.LabelPairs, New: news.New, Gone: news.Gone,
	}
	for k, counts := range [][]NameCount{tables.ByMetric, tables.ByLabelName, tables.SeriesByName, tables.ByLabelPair} {
		rows := make([]cardinality.Row, len(counts))
		for i, c := range counts {
			rows[i] = cardinality.Row(c)
		}
		day.Tables[k] = cardinality.NewTable(rows, false)
	}
	var metrics, names []cardinality.Row
	for _, m := range news.Metrics {
		metrics = append(metrics, cardinality.Row{Name: m.Name, Count: m.New})
	}
	for _, l := range news.Labels {
		names = append(names, cardinality.Row{Name: l.Name, Count: l.NewValues})
	}
	day.Tables[cardinality.NewByMetric] = cardinality.NewTable(metrics, len(metrics) == MaxChurnRows)
	day.Tables[cardinality.NewByLabel] = cardinality.NewTable(names, len(names) == MaxChurnRows)
	take, release := d.memory()
	defer release()
	return d.store.Put(day, take)
}

// memory returns a new charge.
func (d *dayCounts) memory() (take func(bytes int64) error, release func()) {
	if d.opts.Memory == nil {
		return nil, func() {}
	}
	return d.opts.Memory()
}

// tables counts the series of a day by name, label and pair.
func (d *dayCounts) tables(ctx context.Context, v *View, day int64) (Cardinality, error) {
	take, release := d.memory()
	defer release()
	places, err := newCensus(v, model.DefaultTenant, nil, take)
	if err != nil {
		return Cardinality{}, err
	}
	c := newCardinalityCounter(places, cardinality.Range(day))
	if err := c.count(ctx, cardinalityPairs); err != nil {
		return Cardinality{}, err
	}
	d.warn(day, places.warnings)
	// One row more than are kept tells that there are more.
	return c.tables(cardinality.MaxRows+1, ""), nil
}

// news compares a day with the day before.
func (d *dayCounts) news(ctx context.Context, v *View, day int64) (ChurnDay, error) {
	take, release := d.memory()
	defer release()
	places, err := newCensus(v, model.DefaultTenant, nil, nil)
	if err != nil {
		return ChurnDay{}, err
	}
	c := churnCounter{census: places, reserve: take, cache: d.churn}
	return c.day(ctx, cardinality.Range(day).Min)
}

// warn logs what was not counted of a day.
func (d *dayCounts) warn(day int64, warnings []error) {
	if len(warnings) > 0 {
		d.log.Warn("counts of a day lack what cannot be read", "day", cardinality.Date(day), "first", warnings[0], "warnings", len(warnings))
	}
}

// DailyCountsRequest says which days are reported.
type DailyCountsRequest struct {
	Until   int64 // Unix milliseconds of a time within the last day; 0 = now
	Days    int   // at most MaxCountedDays
	Order   DailyOrder
	Limit   int // lines of each table, at most MaxCountedRows
	Reserve func(bytes int64) error
}

// DailyOrder says which lines come first.
type DailyOrder = cardinality.Order

// ParseDailyOrder parses "size" or "growth"; "" is the former.
func ParseDailyOrder(s string) (DailyOrder, error) { return cardinality.ParseOrder(s) }

// Bounds of a DailyCountsRequest.
const (
	MaxCountedDays = cardinality.MaxDays
	MaxCountedRows = cardinality.MaxRows
)

// DailyCounts are the counts of days that are kept, as GET /api/v1/status/cardinality shows
// them.
type DailyCounts struct {
	Days []CountedDay `json:"days"` // the newest first; days that were not counted are left out
	// Waiting is the number of days with data that the background job has not counted yet.
	Waiting int64 `json:"waitingDays"`

	ByMetric     []DailyLine `json:"seriesCountByMetricName"`
	ByLabelName  []DailyLine `json:"labelValueCountByLabelName"`
	SeriesByName []DailyLine `json:"seriesCountByLabelName"`
	ByLabelPair  []DailyLine `json:"seriesCountByLabelValuePair"`
	NewByMetric  []DailyLine `json:"newSeriesCountByMetricName"`
	NewByLabel   []DailyLine `json:"newLabelValueCountByLabelName"`
}

// CountedDay describes a day.
type CountedDay struct {
	Date    string `json:"date"`
	Counted string `json:"counted"` // when, RFC 3339
	Running bool   `json:"running"` // the day was not over then
	Series  uint64 `json:"series"`
	Pairs   uint64 `json:"labelValuePairs"`
	New     uint64 `json:"new"`  // against the day before
	Gone    uint64 `json:"gone"` // since the day before
}

// DailyLine has the counts of a name on each day, nil where only higher ones are kept.
type DailyLine struct {
	Name   string    `json:"name"`
	Counts []*uint64 `json:"counts"`
}

// DailyCounts returns the counts of days that are kept. It reads one small file, and no
// block. A warning says that they were damaged, and are counted again.
func (db *DB) DailyCounts(r DailyCountsRequest) (DailyCounts, []error, error) {
	last := cardinality.DayOf(db.opts.Clock.Now().UnixMilli())
	if r.Until != 0 {
		last = cardinality.DayOf(r.Until)
	}
	var warnings []error
	days, err := db.counts.store.Read(r.Reserve)
	if cardinality.IsLost(err) {
		warnings = append(warnings, fmt.Errorf("the counts of days are counted again: %w", err))
	} else if err != nil {
		return DailyCounts{}, nil, err
	}
	report, err := cardinality.NewReport(days, last-int64(r.Days)+1, last, r.Order, r.Limit, r.Reserve)
	if err != nil {
		return DailyCounts{}, nil, err
	}
	c := DailyCounts{Days: make([]CountedDay, len(report.Days)), Waiting: db.counts.waiting.Load()}
	for i, day := range report.Days {
		c.Days[i] = CountedDay{
			Date: cardinality.Date(day.Day), Counted: rfc3339(day.Counted * 1000), Running: day.Running,
			Series: day.Series, Pairs: day.Pairs, New: day.New, Gone: day.Gone,
		}
	}
	for k, lines := range []*[]DailyLine{&c.ByMetric, &c.ByLabelName, &c.SeriesByName, &c.ByLabelPair, &c.NewByMetric, &c.NewByLabel} {
		*lines = dailyLines(report.Lines[k])
	}
	return c, warnings, nil
}

func dailyLines(lines []cardinality.Line) []DailyLine {
	out := make([]DailyLine, len(lines))
	for i, l := range lines {
		out[i] = DailyLine{l.Name, make([]*uint64, len(l.Counts))}
		for d, n := range l.Counts {
			if n != cardinality.Unknown {
				n := uint64(n)
				out[i].Counts[d] = &n
			}
		}
	}
	return out
}
