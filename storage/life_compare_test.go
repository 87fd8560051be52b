package storage_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage"
)

// readAll compares everything.
func (w *lifeWorld) readAll() error { return w.compareAll(w.db, w.model, w.floors) }

// compareAll compares everything a database shows with a model, from its floors on.
func (w *lifeWorld) compareAll(db *storage.DB, m *lifeModel, floors *lifeFloors) error {
	v, err := db.View()
	if err != nil {
		return err
	}
	defer v.Release()
	if err := seenFloors(v).equal(floors); err != nil {
		return err
	}
	if err := compareSelected(w, v, m, floors, `{__name__=~".+"}`, model.AllTime); err != nil {
		return err
	}
	return compareExemplars(w, v, m, floors)
}

func (w *lifeWorld) compareSelect(selector string, tr model.TimeRange) error {
	v, err := w.db.View()
	if err != nil {
		return err
	}
	defer v.Release()
	return compareSelected(w, v, w.model, w.floors, selector, tr)
}

// compareSelected compares the samples of a selection. A series may be listed that has no
// samples in the range.
func compareSelected(w *lifeWorld, v *storage.View, m *lifeModel, floors *lifeFloors, selector string, tr model.TimeRange) error {
	ms := matchers(selector)
	set, err := v.Select(w.ctx, model.DefaultTenant, tr, ms...)
	if err != nil {
		return err
	}
	var seen [lifeSeries]bool
	var got model.Samples
	for i := range set.Len() {
		s := set.At(i)
		if i > 0 && labels.Compare(set.At(i-1).Labels, s.Labels) >= 0 {
			return fmt.Errorf("series %s is after %s", s.Labels, set.At(i-1).Labels)
		}
		n := slices.IndexFunc(lifeLabels[:], func(ls labels.Labels) bool { return labels.Equal(ls, s.Labels) })
		if n < 0 || !matchesAll(ms, s.Labels) {
			return fmt.Errorf("series %s is selected", s.Labels)
		}
		seen[n] = true
		got.Reset()
		if err := s.Samples(w.ctx, tr, &got); err != nil {
			return err
		}
		current, old := splitExpired(&got, &m.series[n])
		err := compareSamples(current, &m.series[n].samples, tr)
		if err == nil {
			err = w.compareStandIns(old, &m.series[n].expired, tr)
		}
		if err != nil {
			return fmt.Errorf("series %d: %w", n, err)
		}
	}
	for n := range m.series {
		s := &m.series[n].samples
		if k := s.Search(tr.Min); !seen[n] && matchesAll(ms, lifeLabels[n]) && k < s.Len() && s.T[k] < tr.Max {
			return fmt.Errorf("series %d is not selected: has a sample at %s", n, lifeTime(s.T[k]))
		}
	}
	if list := set.Warnings(); len(list) > 0 {
		return fmt.Errorf("%d warnings, the first: %w", len(list), list[0])
	}
	return nil
}

// splitExpired splits samples into those that should be there and those at the times of
// expired ones.
func splitExpired(got *model.Samples, s *modelSeries) (current, expired *model.Samples) {
	if s.expired.Len() == 0 || got.Len() == 0 || s.expired.T[s.expired.Len()-1] < got.T[0] {
		return got, &model.Samples{}
	}
	current, expired = &model.Samples{}, &model.Samples{}
	for k, t := range got.T {
		if at := s.expired.Search(t); at < s.expired.Len() && s.expired.T[at] == t {
			expired.AppendRange(got, k, k+1)
		} else {
			current.AppendRange(got, k, k+1)
		}
	}
	return current, expired
}

// compareSamples compares samples with those that a model has in a range.
func compareSamples(got, all *model.Samples, tr model.TimeRange) error {
	lo := all.Search(tr.Min)
	want := all.Slice(lo, max(lo, all.Search(tr.Max)))
	for i, j := 0, 0; i < got.Len() || j < want.Len(); i, j = i+1, j+1 {
		switch {
		case j == want.Len() || i < got.Len() && got.T[i] < want.T[j]:
			return fmt.Errorf("a sample at %s that should not be there: %s", lifeTime(got.T[i]), sampleText(got, i))
		case i == got.Len() || got.T[i] > want.T[j]:
			return fmt.Errorf("no sample at %s, want %s", lifeTime(want.T[j]), sampleText(&want, j))
		case !sameSample(got, i, &want, j):
			return fmt.Errorf("the sample at %s is %s, want %s", lifeTime(got.T[i]), sampleText(got, i), sampleText(&want, j))
		}
	}
	return nil
}

// compareStandIns compares expired samples: those of a series and day are all there,
// because they stand in for a rollup, or none.
func (w *lifeWorld) compareStandIns(got, all *model.Samples, tr model.TimeRange) error {
	if got.Len() > 0 && !w.hadRollups {
		return fmt.Errorf("an expired sample at %s", lifeTime(got.T[0]))
	}
	for i := 0; i < got.Len(); {
		day := block.Raw.PartitionRange(got.T[i])
		end := got.Search(day.Max)
		one := got.Slice(i, end)
		if w.hadRules { // some of a day may have been hidden before its rest began to stand in
			if err := contained(&one, all); err != nil {
				return err
			}
			i = end
			continue
		}
		if err := compareSamples(&one, all, day.Intersect(tr)); err != nil {
			return fmt.Errorf("expired: %w", err)
		}
		i = end
	}
	return nil
}

// contained returns an error unless all has each of some samples.
func contained(some, all *model.Samples) error {
	for i, t := range some.T {
		if k := all.Search(t); k == all.Len() || all.T[k] != t || !sameSample(some, i, all, k) {
			return fmt.Errorf("expired: a sample at %s that should not be there: %s", lifeTime(t), sampleText(some, i))
		}
	}
	return nil
}

// sameSample is EqualAt but for the hints of histograms, which are derived on reading.
func sameSample(a *model.Samples, i int, b *model.Samples, j int) bool {
	if g, h := a.HistogramAt(i).Int, b.HistogramAt(j).Int; g != nil && h != nil {
		return a.StartAt(i) == b.StartAt(j) && g.Equals(h)
	}
	return a.EqualAt(i, b, j)
}

func sampleText(s *model.Samples, i int) string {
	text := fmt.Sprint(s.V[i])
	switch {
	case !s.HistogramAt(i).IsZero():
		text = s.HistogramAt(i).Int.String()
	case s.StaleAt(i):
		text = "stale"
	}
	if at := s.StartAt(i); at != 0 {
		text += " since " + lifeTime(at)
	}
	return text
}

// compareExemplars compares exemplars: all of them have a sample in their cut, with which
// they stay. Below the floor they may be there or not, as samples.
func compareExemplars(w *lifeWorld, v *storage.View, m *lifeModel, floors *lifeFloors) error {
	list, warnings, err := v.Exemplars(w.ctx, model.DefaultTenant, model.AllTime, [][]*labels.Matcher{matchers(`{__name__=~".+"}`)})
	if err := errors.Join(append(warnings, err)...); err != nil {
		return err
	}
	for n := range m.series {
		var got []model.Exemplar
		if i := slices.IndexFunc(list, func(s storage.ExemplarSeries) bool { return labels.Equal(s.Labels, lifeLabels[n]) }); i >= 0 {
			got = list[i].Exemplars
		}
		want := slices.Clone(m.series[n].exemplars)
		want = slices.DeleteFunc(want, func(e model.Exemplar) bool {
			return e.T < floors.highest[n] && !slices.ContainsFunc(got, e.Equal)
		})
		byLabels := func(a, b model.Exemplar) int {
			return cmp.Or(cmp.Compare(a.T, b.T), labels.Compare(a.Labels, b.Labels))
		}
		slices.SortFunc(want, byLabels)
		slices.SortFunc(got, byLabels)
		if !slices.EqualFunc(got, want, model.Exemplar.Equal) {
			return fmt.Errorf("series %d has exemplars %v, want %v", n, got, want)
		}
	}
	return nil
}

// compareNames compares the lists of label names, values and series. They may have those
// of series whose samples are not in the range.
func (w *lifeWorld) compareNames() error {
	v, err := w.db.View()
	if err != nil {
		return err
	}
	defer v.Release()
	var need, may [lifeSeries]bool // be listed
	for n := range w.model.series {
		s := &w.model.series[n].samples
		may[n] = true
		need[n] = s.Len() > 0
	}
	union := func(of [lifeSeries]bool, get func(labels.Labels) []string) (all []string) {
		for n, in := range of {
			if in {
				all = append(all, get(lifeLabels[n])...)
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	compare := func(what string, got []string, warnings []error, err error, get func(labels.Labels) []string) error {
		if err := errors.Join(append(warnings, err)...); err != nil {
			return err
		}
		if !slices.IsSorted(got) || !contains(got, union(need, get)) || !contains(union(may, get), got) {
			return fmt.Errorf("%s are %q, want %q", what, got, union(need, get))
		}
		return nil
	}
	got, warnings, err := v.LabelNames(w.ctx, model.DefaultTenant, model.AllTime, 0)
	if err := compare("label names", got, warnings, err, func(ls labels.Labels) (names []string) {
		ls.Range(func(l labels.Label) { names = append(names, l.Name) })
		return names
	}); err != nil {
		return err
	}
	for _, name := range []string{"__name__", "i", "odd"} {
		got, warnings, err := v.LabelValues(w.ctx, model.DefaultTenant, name, model.AllTime, 0)
		if err := compare("values of "+name, got, warnings, err, func(ls labels.Labels) []string {
			if ls.Get(name) == "" {
				return nil
			}
			return []string{ls.Get(name)}
		}); err != nil {
			return err
		}
	}
	set, err := v.ListSeries(w.ctx, model.DefaultTenant, model.AllTime, matchers(`{__name__=~".+"}`)...)
	if err != nil {
		return err
	}
	got = nil
	for i := range set.Len() {
		got = append(got, set.At(i).Labels.String())
	}
	slices.Sort(got)
	return compare("series", got, set.Warnings(), nil, func(ls labels.Labels) []string { return []string{ls.String()} })
}

// contains reports whether a sorted list has all of another one.
func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool {
		_, ok := slices.BinarySearch(all, s)
		return !ok
	})
}
