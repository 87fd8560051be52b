package storage_test

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// lifeModel is what a database should hold: a map from series to slices of samples.
type lifeModel struct {
	series [lifeSeries]modelSeries
}

// modelSeries is a series. Samples and exemplars rise in time.
type modelSeries struct {
	samples   model.Samples
	expired   model.Samples // of which a day may still be there, as a whole: its samples stand in for buckets
	exemplars []model.Exemplar
}

// lifeSeries is the number of series that a life test writes.
const lifeSeries = 12

// lifeLabels are the labels of each series.
var lifeLabels = func() (all [lifeSeries]labels.Labels) {
	for i := range all {
		b := labels.NewScratchBuilder(4)
		b.Add("__name__", kindOf(i).metric())
		b.Add("env", []string{"prod", "dev"}[i/6%2])
		b.Add("i", fmt.Sprint(i))
		if i%5 == 0 {
			b.Add("odd", "ü\"\n")
		}
		b.Sort()
		all[i] = b.Labels()
	}
	return all
}()

func (m *lifeModel) clone() *lifeModel {
	c := &lifeModel{}
	for i := range m.series {
		s := &m.series[i]
		c.series[i].samples.AppendRange(&s.samples, 0, s.samples.Len())
		c.series[i].expired.AppendRange(&s.expired, 0, s.expired.Len())
		c.series[i].exemplars = slices.Clone(s.exemplars)
	}
	return c
}

// write writes the samples of a series, which rise in time, as if one after the other.
func (m *lifeModel) write(i int, s *model.Samples) {
	if gone := &m.series[i].expired; gone.Len() > 0 && gone.T[gone.Len()-1] >= s.T[0] {
		for _, t := range s.T { // they are there again
			removeSamples(gone, model.TimeRange{Min: t, Max: t + 1})
		}
	}
	old := &m.series[i].samples
	if n := old.Len(); n == 0 || old.T[n-1] < s.T[0] {
		old.AppendRange(s, 0, s.Len())
		return
	}
	var merged model.Samples
	model.Merge(&merged, old, s)
	*old = merged
}

// expire has the samples of a series before a floor expire.
func (m *lifeModel) expire(i int, floor int64) {
	s := &m.series[i]
	n := s.samples.Search(floor)
	if n == 0 {
		return
	}
	gone := s.samples.Slice(0, n)
	if k := s.expired.Len(); k == 0 || s.expired.T[k-1] < gone.T[0] {
		s.expired.AppendRange(&gone, 0, n)
	} else {
		var merged model.Samples
		model.Merge(&merged, &s.expired, &gone)
		s.expired = merged
	}
	removeSamples(&s.samples, model.TimeRange{Min: model.AllTime.Min, Max: floor})
}

// ever returns all samples of a series, expired or not.
func (s *modelSeries) ever() *model.Samples {
	if s.expired.Len() == 0 {
		return &s.samples
	}
	var all model.Samples
	model.Merge(&all, &s.expired, &s.samples)
	return &all
}

func (m *lifeModel) exemplar(i int, e model.Exemplar) {
	list := &m.series[i].exemplars
	at, _ := slices.BinarySearchFunc(*list, e.T, func(e model.Exemplar, t int64) int { return int(e.T - t) })
	for k := at; k < len(*list) && (*list)[k].T == e.T; k++ {
		if (*list)[k].Equal(e) {
			return
		}
	}
	*list = slices.Insert(*list, at, e)
}

// remove deletes a range of the series that match all matchers of one set.
func (m *lifeModel) remove(sets [][]*labels.Matcher, tr model.TimeRange) {
	for i := range m.series {
		if !slices.ContainsFunc(sets, func(ms []*labels.Matcher) bool { return matchesAll(ms, lifeLabels[i]) }) {
			continue
		}
		s := &m.series[i]
		removeSamples(&s.samples, tr)
		removeSamples(&s.expired, tr)
		s.exemplars = slices.DeleteFunc(s.exemplars, func(e model.Exemplar) bool { return tr.Contains(e.T) })
	}
}

func removeSamples(s *model.Samples, tr model.TimeRange) {
	lo, hi := s.Search(tr.Min), s.Search(tr.Max)
	if lo >= hi {
		return
	}
	var left model.Samples
	left.AppendRange(s, 0, lo)
	left.AppendRange(s, hi, s.Len())
	*s = left
}

func matchesAll(ms []*labels.Matcher, ls labels.Labels) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
}

// lifeOrder are the numbers of the series in the order of their labels.
var lifeOrder = func() (order []int) {
	for i := range lifeSeries {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return labels.Compare(lifeLabels[a], lifeLabels[b]) })
	return order
}()
