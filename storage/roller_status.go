package storage

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/model"
	"tsdb/rollup"
)

// RollupStatus describes the rollups, as GET /api/v1/status/rollups shows it. Times are
// RFC 3339.
type RollupStatus struct {
	Tiers []RollupTierStatus `json:"tiers"` // finest first
	Step  *RollupStep        `json:"step"`  // under way; null if there is none
	// WaitingDays are the days that are not as their samples are, the newest first: what
	// differs is read from the samples. Of more than 100 the oldest are left out.
	WaitingDays []RollupDay `json:"waitingDays"`
	MoreDays    int         `json:"moreDays,omitempty"` // that are left out
	// Waiting is why nothing is done although days wait: there is too little disk space.
	Waiting string `json:"waiting,omitempty"`
	// LastError is why the last step failed; empty if it did not.
	LastError   string `json:"lastError,omitempty"`
	NextAttempt string `json:"nextAttempt,omitempty"` // after a failure
}

// RollupTierStatus describes one tier.
type RollupTierStatus struct {
	Tier        string  `json:"tier"`
	On          bool    `json:"on"`          // it is kept up to date
	RetentionMs int64   `json:"retentionMs"` // 0 = for ever
	Days        int     `json:"days"`        // that are rolled up
	StandInDays int     `json:"standInDays"` // of these, those without buckets because samples stand in for all
	LostDays    int     `json:"lostDays"`    // of these, those with samples that could not be read
	Blocks      int     `json:"blocks"`
	Bytes       int64   `json:"bytes"`
	BytesPerDay float64 `json:"bytesPerDay"` // of the days with buckets; 0 without any
	Oldest      string  `json:"oldest,omitempty"`
	Newest      string  `json:"newest,omitempty"` // start of the newest day
	// UncoveredDays and DirtyDays are over and wait to be rolled up, for the first time
	// or again. BehindSeconds is the time since the end of the oldest of them.
	UncoveredDays int     `json:"uncoveredDays"`
	DirtyDays     int     `json:"dirtyDays"`
	BehindSeconds float64 `json:"behindSeconds"`
}

// RollupDay is a day of a tier that is not as its samples are.
type RollupDay struct {
	Tier string `json:"tier"`
	Day  string `json:"day"` // as 2026-11-29
	// Reasons are not_rolled_up, newer_samples, deletion, lost_samples, unreadable.
	Reasons []string `json:"reasons"`
	// Since is when the oldest of the newer samples came into blocks.
	Since string `json:"since,omitempty"`
	// Next is when the day is rolled up, or written again, at the latest unless other days
	// come before it; empty = not, because its samples have left or cannot be read.
	Next string `json:"next,omitempty"`
}

// maxWaitingDays bounds RollupStatus.WaitingDays.
const maxWaitingDays = 100

// waitingDays returns the days of a status, and how many are left out.
func (r *roller) waitingDays() (days []RollupDay, more int) {
	v := r.catalog.set.Acquire()
	defer v.Release()
	all := rollup.Waiting(v.State(), r.planOptions(context.Background(), v))
	if more = len(all) - maxWaitingDays; more > 0 {
		all = all[:maxWaitingDays]
	}
	days = []RollupDay{}
	for _, w := range all {
		d := RollupDay{Tier: w.Tier.String(), Day: time.UnixMilli(w.Day).UTC().Format(time.DateOnly)}
		for _, reason := range w.Reasons {
			d.Reasons = append(d.Reasons, string(reason))
		}
		if w.SinceMs != 0 {
			d.Since = rfc3339(w.SinceMs)
		}
		if w.NextMs != 0 {
			d.Next = rfc3339(w.NextMs)
		}
		days = append(days, d)
	}
	return days, max(more, 0)
}

// RollupStep is the step under way.
type RollupStep struct {
	Action      string   `json:"action"` // roll, fold, erase, confirm
	Tiers       []string `json:"tiers"`
	From        string   `json:"from,omitempty"` // start of the first day
	Days        int      `json:"days"`
	Why         string   `json:"why"`
	Bytes       int64    `json:"bytes"` // to be read
	SeriesDone  uint64   `json:"seriesDone"`
	SeriesTotal uint64   `json:"seriesTotal"`
	Since       string   `json:"since"`
}

// RollupStatus returns the status of the rollups.
func (db *DB) RollupStatus() RollupStatus {
	st := RollupStatus{Tiers: []RollupTierStatus{}, Step: db.roller.progress.status()}
	if o := db.jobs.rollup.Outcome(); o.Failures > 0 {
		st.LastError, st.NextAttempt = db.withoutDir(o.Err), rfc3339(o.Next.UnixMilli())
	}
	st.Waiting = db.roller.waiting()
	st.WaitingDays, st.MoreDays = db.roller.waitingDays()
	for _, s := range db.roller.summarize() {
		retention, on := db.policy.Load().TierMs[s.Tier]
		t := RollupTierStatus{
			Tier: s.Tier.String(), On: on, RetentionMs: retention, Days: s.Days, StandInDays: s.StandIn, LostDays: s.Lost,
			Blocks: s.Blocks, Bytes: s.Bytes, UncoveredDays: s.Uncovered, DirtyDays: s.Dirty, BehindSeconds: float64(s.BehindMs) / 1000,
		}
		if s.Days > 0 {
			t.Oldest, t.Newest = rfc3339(s.First), rfc3339(s.Last)
		}
		if n := s.Days - s.StandIn; n > 0 {
			t.BytesPerDay = float64(s.Bytes) / float64(n)
		}
		st.Tiers = append(st.Tiers, t)
	}
	return st
}

// waiting returns why no step is taken although one is due, "" if that is not so.
func (r *roller) waiting() string {
	v := r.catalog.set.Acquire()
	defer v.Release()
	o := r.planOptions(context.Background(), v)
	if err := r.addFreeBytes(&o); err != nil {
		return ""
	}
	if _, ok := rollup.Plan(v.State(), o); ok {
		return ""
	}
	free := o.FreeBytes
	o.FreeBytes, o.ExpiredBytes = math.MaxUint64, math.MaxUint64
	step, ok := rollup.Plan(v.State(), o)
	if !ok {
		return ""
	}
	needs, has := model.FormatBytesPair(int64(min(step.Needs(), math.MaxInt64)), int64(min(free, math.MaxInt64)))
	return fmt.Sprintf("%s needs %s of free disk space, %s are free beyond what writes need", step.Reason, needs, has)
}

// summarize returns the summaries of all tiers.
func (r *roller) summarize() []rollup.Summary {
	v := r.catalog.set.Acquire()
	defer v.Release()
	return rollup.Summarize(v.State(), r.planOptions(context.Background(), v))
}

// rollProgress is the progress of the current step. It is safe for concurrent use.
type rollProgress struct {
	mu          sync.Mutex
	step        rollup.Step // Action 0: none
	since       time.Time
	done, total uint64 // series
}

// begin notes a step that begins and returns a function to call at its end.
func (p *rollProgress) begin(step rollup.Step, now time.Time) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.since, p.done, p.total = step, now, 0, 0
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.step = rollup.Step{}
	}
}

func (p *rollProgress) set(done, total uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total = done, total
}

// status returns the step under way, nil if there is none.
func (p *rollProgress) status() *RollupStep {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.step.Action == 0 {
		return nil
	}
	s := &RollupStep{
		Action: p.step.Action.String(), Tiers: tierNames(p.step.Tiers), Days: len(p.step.Days), Why: p.step.Reason,
		Bytes: p.step.Bytes, SeriesDone: p.done, SeriesTotal: p.total, Since: rfc3339(p.since.UnixMilli()),
	}
	if s.Days > 0 {
		s.From = rfc3339(p.step.Days[0])
	}
	return s
}

// rollupCollector makes metrics of the summaries, all of one state.
type rollupCollector struct {
	roller                                           *roller
	days, uncovered, dirty, lost, blocks, bytes, lag *prometheus.Desc
}

func newRollupCollector(r *roller) *rollupCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"tier"}, nil)
	}
	return &rollupCollector{
		roller:    r,
		days:      desc("tsdb_rollup_days", "Days that are rolled up, by tier."),
		uncovered: desc("tsdb_rollup_uncovered_days", "Days that are over and wait to be rolled up, by tier."),
		dirty:     desc("tsdb_rollup_dirty_days", "Days that late samples or deletions have changed since they were rolled up, by tier."),
		lost:      desc("tsdb_rollup_lost_days", "Days with samples that could not be read when they were rolled up, by tier."),
		blocks:    desc("tsdb_rollup_blocks", "Block files of rollups, by tier."),
		bytes:     desc("tsdb_rollup_bytes", "Bytes of the block files of rollups, by tier."),
		lag:       desc("tsdb_rollup_behind_seconds", "Time since the end of the oldest day that waits to be rolled up, by tier; 0 if there is none."),
	}
}

// Describe implements prometheus.Collector.
func (c *rollupCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.days, c.uncovered, c.dirty, c.lost, c.blocks, c.bytes, c.lag} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *rollupCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.roller.summarize() {
		for _, m := range []struct {
			desc  *prometheus.Desc
			value float64
		}{
			{c.days, float64(s.Days)}, {c.uncovered, float64(s.Uncovered)}, {c.dirty, float64(s.Dirty)}, {c.lost, float64(s.Lost)},
			{c.blocks, float64(s.Blocks)}, {c.bytes, float64(s.Bytes)}, {c.lag, float64(s.BehindMs) / 1000},
		} {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value, s.Tier.String())
		}
	}
}
