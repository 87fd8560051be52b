package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tsdb/internal/model"
)

// Options are the options of Run. The zero value is the default.
type Options struct {
	DryRun  bool // read only: count, and say what would be refused
	SkipOld bool // leave out and count samples that are older than the target takes
	State   *State
	Report  func(Progress) // called after every item; nil = not
}

// Summary is the result of Run.
type Summary struct {
	Receipt
	Items    int64 // series of units; one that is in n units counts n times
	Read     int64 // samples
	Min, Max int64 // times of the samples, both inclusive; Min > Max if there are none
	Skipped  int   // units that were there already
}

// ErrTooOld is returned by Run before anything is written if samples are older than
// the target takes.
var ErrTooOld = errors.New("samples are older than what is kept")

// Run moves everything from a source to a target.
func Run(ctx context.Context, src Source, dst Target, o Options) (Summary, error) {
	r := &runner{src: src, dst: dst, o: o}
	r.sum.Min, r.sum.Max = 1, 0
	var err error
	if r.bounds, err = dst.Bounds(ctx); err != nil {
		return r.sum, err
	}
	if err = r.bounds.compile(); err != nil {
		return r.sum, err
	}
	if r.plan, err = src.Plan(ctx); err != nil {
		return r.sum, err
	}
	for _, u := range r.plan.Units {
		r.total += u.Size
	}
	if err := r.checkAge(ctx); err != nil {
		return r.sum, err
	}
	err = r.run(ctx)
	return r.sum, err
}

type runner struct {
	src    Source
	dst    Target
	o      Options
	bounds Bounds
	plan   *Plan
	sum    Summary
	total  int64                  // size of all units
	done   int64                  // size of those read
	dry    bool                   // read only
	old    map[string]*oldSamples // by setting; of a scan only

	pending []mark // positions reached since the last publication
}

// mark is a position in a unit, or its end.
type mark struct {
	unit string
	pos  int64
}

// checkAge returns ErrTooOld if the source has samples that the target does not take.
// Where the plan does not tell, the units that may have some are read once for it.
func (r *runner) checkAge(ctx context.Context) error {
	if r.o.SkipOld || r.o.DryRun || r.bounds.Oldest <= model.MinTime {
		return nil
	}
	known := r.plan.Min <= r.plan.Max
	switch {
	case known && r.plan.Min >= r.bounds.Oldest:
		return nil
	case known && !r.plan.Loose && len(r.bounds.Lists) == 0:
		return tooOld(fmt.Sprintf("the first sample is of %s, and the target takes samples from %s on (%s); --dry-run counts them",
			model.FormatTime(r.plan.Min), model.FormatTime(r.bounds.Oldest), r.bounds.Setting))
	}
	scan := &runner{src: r.src, dst: r.dst, bounds: r.bounds, plan: &Plan{}, dry: true, old: map[string]*oldSamples{}}
	scan.o.Report, scan.o.State = r.o.Report, r.o.State
	scan.sum.Min, scan.sum.Max = 1, 0
	for _, u := range r.plan.Units {
		if u.mayHave(r.bounds.Oldest) {
			scan.plan.Units = append(scan.plan.Units, u)
			scan.total += u.Size
		}
	}
	if err := scan.run(ctx); err != nil {
		return err
	}
	if len(scan.old) == 0 {
		return nil
	}
	return tooOld(fmt.Sprintf("%s, of %d that were looked at", scan.describeOld(), scan.sum.Read))
}

// oldSamples counts the samples that a setting does not take.
type oldSamples struct {
	count, first, limit int64 // first is the time of the first sample
}

// addOld counts a sample that is too old.
func (r *runner) addOld(rule string, t, limit int64) {
	setting := r.bounds.Setting
	switch {
	case rule != "":
		setting = "the retention rule " + clip(rule)
	case len(r.bounds.Lists) > 0:
		setting = rawSetting
	}
	old := r.old[setting]
	if old == nil {
		old = &oldSamples{first: t, limit: limit}
		r.old[setting] = old
	}
	old.count++
	old.first, old.limit = min(old.first, t), max(old.limit, limit)
}

// describeOld lists what is too old by setting.
func (r *runner) describeOld() string {
	var parts []string
	for _, setting := range slices.Sorted(maps.Keys(r.old)) {
		old := r.old[setting]
		parts = append(parts, fmt.Sprintf("%d before %s (%s), the first of %s",
			old.count, model.FormatTime(old.limit), setting, model.FormatTime(old.first)))
	}
	return strings.Join(parts, "; ")
}

// tooOld returns ErrTooOld with what is too old, and what can be done.
func tooOld(what string) error {
	return fmt.Errorf("%w: %s: "+
		"keep samples longer, for the import and from then on; once rollups have been made of them, shorten it again. Or leave them out with --skip-old",
		ErrTooOld, what)
}

// mayHave reports whether a unit may have samples before a time.
func (u *Unit) mayHave(before int64) bool {
	if u.Min == 0 && u.Max == 0 {
		return true
	}
	return u.Min <= u.Max && u.Min < before
}

func (r *runner) run(ctx context.Context) error {
	r.dry = r.dry || r.o.DryRun
	for _, u := range r.plan.Units {
		from := int64(0)
		if pos, ok := r.o.State.position(u.ID); ok {
			if pos == unitDone {
				r.sum.Skipped++
				r.done += u.Size
				continue
			}
			from = pos
		}
		if err := r.src.Read(ctx, u, from, func(pos int64, item *Item) error { return r.item(ctx, u, pos, item) }); err != nil {
			return fmt.Errorf("%s: %w", u.Name, err)
		}
		r.done += u.Size
		r.mark(u.ID, unitDone)
	}
	return r.publish(ctx)
}

func (r *runner) mark(unit string, pos int64) {
	if n := len(r.pending); n > 0 && r.pending[n-1].unit == unit {
		r.pending[n-1].pos = pos
		return
	}
	r.pending = append(r.pending, mark{unit, pos})
}

func (r *runner) item(ctx context.Context, u Unit, pos int64, item *Item) error {
	refused := r.refused(item)
	if item.Samples != nil {
		r.sum.Items++
		r.sum.Read += int64(item.Samples.Len())
	}
	if item.Samples != nil && !refused {
		for _, t := range item.Samples.T {
			if r.sum.Min > r.sum.Max {
				r.sum.Min, r.sum.Max = t, t
			}
			r.sum.Min, r.sum.Max = min(r.sum.Min, t), max(r.sum.Max, t)
		}
	}
	switch {
	case refused:
	case r.dry:
		r.judge(item)
	default:
		if err := r.dst.Add(ctx, item); err != nil {
			return err
		}
	}
	r.mark(u.ID, pos)
	done := item.Done
	if done == 0 {
		done = pos
	}
	if r.o.Report != nil {
		r.o.Report(Progress{Unit: u.Name, Scan: r.dry, Samples: r.sum.Read, Refused: r.sum.Refused(), Done: r.done + min(done, u.Size), Total: r.total})
	}
	if !r.dry && r.dst.Full() {
		return r.publish(ctx)
	}
	return ctx.Err()
}

// refused counts what is refused whatever the target takes, and reports whether
// nothing is left.
func (r *runner) refused(item *Item) bool {
	if item.Refused > 0 {
		r.sum.reject(Rejection{Reason: item.Reason, Count: int64(item.Refused), Series: clip(item.Example), Detail: clip(item.Detail)})
	}
	if item.Samples == nil {
		return item.Metric == ""
	}
	reason, detail := CheckLabels(item.Labels)
	if reason != "" {
		r.sum.reject(Rejection{Reason: string(reason), Count: int64(item.Samples.Len()), Series: clip(item.Labels.String()), Detail: detail})
	}
	return reason != ""
}

// judge counts what the target would refuse for its time.
func (r *runner) judge(item *Item) {
	if item.Samples == nil {
		return
	}
	limit, rule, asked := r.bounds.Oldest, "", len(r.bounds.Lists) == 0
	for i, t := range item.Samples.T {
		if t < limit && !asked {
			limit, rule = r.bounds.limitOf(item.Labels)
			asked = true
		}
		reason := ""
		switch {
		case !model.ValidTime(t), !model.ValidTime(item.Samples.StartAt(i)):
			reason = "bad_time"
		case t < limit:
			reason = "too_old"
			if r.old != nil {
				r.addOld(rule, t, limit)
			}
		case t > r.bounds.Newest:
			reason = "too_new"
		}
		if reason == "" {
			r.sum.Samples++
			continue
		}
		x := Rejection{Reason: reason, Count: 1}
		if reason == "too_old" {
			x.Rule = rule
		}
		if !r.sum.has(&x) {
			x.Series, x.Detail = clip(item.Labels.String()), "sample at "+model.FormatTime(t)
			if reason == "too_old" {
				x.Detail += ", taken from " + model.FormatTime(limit) + " on"
			}
		}
		r.sum.reject(x)
	}
}

// publish publishes what was read and records how far it goes.
func (r *runner) publish(ctx context.Context) error {
	if r.dry {
		return nil
	}
	receipt, err := r.dst.Publish(ctx)
	if err != nil {
		return err
	}
	r.sum.Add(receipt)
	for _, m := range r.pending {
		r.o.State.set(m.unit, m.pos)
	}
	r.pending = r.pending[:0]
	return r.o.State.save()
}

// Progress reports how far a transfer is.
type Progress struct {
	Unit             string
	Scan             bool // nothing is written yet
	Samples, Refused int64
	Done, Total      int64 // of the size of the source; Total 0 if it is not known
}

// Left returns the time left, if what remains takes as long as what is done.
func (p Progress) Left(took time.Duration) (time.Duration, bool) {
	if p.Done <= 0 || p.Total <= 0 || p.Done > p.Total {
		return 0, false
	}
	return time.Duration(float64(took) * float64(p.Total-p.Done) / float64(p.Done)), true
}
