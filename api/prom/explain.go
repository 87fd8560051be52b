package prom

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/timestamp"

	"tsdb/api/explain"
	"tsdb/internal/model"
	"tsdb/query"
)

// selectorView is the cost of one selector in the format of /explain.
type selectorView struct {
	Selector string    `json:"selector"`
	Start    time.Time `json:"start"` // of the samples it needs
	End      time.Time `json:"end"`
	Tier     string    `json:"tier"` // the coarsest that is read
	// Refused are the tiers that are coarser, the coarsest first.
	Refused []refusedView `json:"refused"`
	costView
	*tierView             // if a tier other than raw is read
	Slices    []sliceView `json:"slices"` // by time
	// Deleted and Damaged are the times of deletions that may concern the selector, and of
	// samples that cannot be read.
	Deleted []rangeView `json:"deleted,omitempty"`
	Damaged []rangeView `json:"damaged,omitempty"`
	Changes uint64      `json:"changes"` // rises when late samples or deletions change what is read
}

// sliceView is the cost of a part of a selector's times that is read from one tier.
type sliceView struct {
	Start   time.Time     `json:"start"`
	End     time.Time     `json:"end"`
	Tier    string        `json:"tier"`
	Expired bool          `json:"expired"` // its samples have expired
	Refused []refusedView `json:"refused"`
	costView
	CutBorders int `json:"cutBorders"`
}

// refusedView is a tier that is not read.
type refusedView struct {
	Tier   string `json:"tier"`
	Reason string `json:"reason"` // a word of package tiers
	Text   string `json:"text"`
}

type costView struct {
	Series  uint64 `json:"series"`
	Blocks  uint64 `json:"blocks"`
	Chunks  uint64 `json:"chunks"`
	Samples uint64 `json:"samples"`
	Buckets uint64 `json:"buckets"`
	Bytes   uint64 `json:"bytes"`
}

// rangeView is a range of times, [Start, End).
type rangeView struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// tierView reports where a tier does not answer, so that samples are read.
type tierView struct {
	RolledUp      []rangeView `json:"rolledUp"` // times that are answered from buckets
	RolledUpDays  uint64      `json:"rolledUpDays"`
	PendingDays   uint64      `json:"pendingDays"`
	StandInDays   uint64      `json:"standInDays"`
	StandInSeries uint64      `json:"standInSeries"`
	NewerSeries   uint64      `json:"newerSeries"`
	CutBorders    int         `json:"cutBorders"`
}

// explain returns the cost of the selectors of an expression evaluated at time, or
// from start to end, without reading samples.
func (a *API) explain(r *http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	q, bad := a.explained(r, query.NewQueryable(db, model.DefaultTenant))
	if bad != nil {
		return answer{}, bad
	}
	defer q.Close()
	view, err := db.View()
	if err != nil {
		return answer{}, classifyWork(err)
	}
	defer view.Release()
	charge := a.opts.Engine.Charge()
	defer charge.Close()
	charge.View(view)
	found, warnings, err := explain.Query(r.Context(), view, model.DefaultTenant, q)
	var refused *explain.RefusedError
	switch {
	case errors.As(err, &refused):
		return answer{}, classify(refused.Err)
	case err != nil:
		return answer{}, classifyWork(err)
	}
	var ans answer
	for _, w := range warnings {
		ans.warnings.Add(w)
	}
	selectors := []selectorView{}
	var total costView
	for i := range found {
		s := viewOf(&found[i])
		s.Changes = found[i].SelectorPlan.Changes(db.Changes())
		selectors = append(selectors, s)
		total.add(s.costView)
	}
	ans.data = jsonValue(struct {
		Selectors []selectorView `json:"selectors"`
		Total     costView       `json:"total"` // blocks that several selectors read count for each
	}{selectors, total})
	return ans, nil
}

// explained prepares the query of a request.
func (a *API) explained(r *http.Request, from *query.Queryable) (*query.Query, *apiError) {
	at, bad := timeOr(r, "time", a.now())
	if bad != nil {
		return nil, bad
	}
	start, bad := timeOr(r, "start", at)
	if bad != nil {
		return nil, bad
	}
	end, bad := timeOr(r, "end", at)
	if bad != nil {
		return nil, bad
	}
	if end.Before(start) {
		return nil, badParam("end", errors.New("end timestamp must not be before start time"))
	}
	opts, err := a.queryOpts(r)
	if err != nil {
		return nil, badData(err)
	}
	expr := r.Form.Get("query")
	var q *query.Query
	if start.Equal(end) {
		q, err = a.opts.Engine.Instant(r.Context(), from, opts, expr, end)
	} else {
		step := time.Duration(explain.DefaultStep(timestamp.FromTime(start), timestamp.FromTime(end))) * time.Millisecond
		if r.Form.Get("step") != "" {
			if step, bad = a.step(r, start, end); bad != nil {
				return nil, bad
			}
		}
		q, err = a.opts.Engine.Range(r.Context(), from, opts, expr, start, end, step)
	}
	if err != nil {
		return nil, badParam("query", err)
	}
	return q, nil
}

func viewOf(s *explain.Selector) selectorView {
	main := s.Main()
	v := selectorView{
		Selector: s.Selector, Start: millis(s.Min), End: millis(s.Max), Tier: main.Tier, Refused: refusedViews(main.Refused),
		costView: costView(s.Cost),
	}
	if s.Rollup() {
		v.tierView = &tierView{
			RolledUp: []rangeView{}, RolledUpDays: s.Days.RolledUp, PendingDays: s.Days.Pending, StandInDays: s.Days.StandIn,
			StandInSeries: s.StandInSeries, NewerSeries: s.NewerSeries, CutBorders: s.MayFail(),
		}
		for _, r := range s.RolledUp {
			v.RolledUp = append(v.RolledUp, rangeView{millis(r.Min), millis(r.Max)})
		}
	}
	for _, r := range s.Deleted {
		v.Deleted = append(v.Deleted, rangeView{millis(r.Min), millis(r.Max)})
	}
	for _, r := range s.Damaged {
		v.Damaged = append(v.Damaged, rangeView{millis(r.Min), millis(r.Max)})
	}
	for _, p := range s.Slices {
		v.Slices = append(v.Slices, sliceView{
			Start: millis(p.Min), End: millis(p.Max), Tier: p.Tier, Expired: p.Expired, Refused: refusedViews(p.Refused),
			costView: costView(p.Cost), CutBorders: p.MayFail,
		})
	}
	return v
}

func refusedViews(rs []query.RefusedTier) []refusedView {
	all := []refusedView{}
	for _, r := range rs {
		all = append(all, refusedView(r))
	}
	return all
}

func (c *costView) add(o costView) {
	c.Series += o.Series
	c.Blocks += o.Blocks
	c.Chunks += o.Chunks
	c.Samples += o.Samples
	c.Buckets += o.Buckets
	c.Bytes += o.Bytes
}
