package fleet

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Columns returns all samples of one target of a fleet without churn, 0 ≤ id
// < Options.Targets: the labels of its series, the times of its scrapes in
// Unix milliseconds, and the values of each series at these times. They are
// those that the sources send.
func (f *Fleet) Columns(id int) (series []labels.Labels, times []int64, values [][]float64) {
	if f.o.Churn != 0 {
		panic("BUG: columns of a fleet with churn")
	}
	t := f.target(id)
	for range f.metrics {
		values = append(values, make([]float64, f.rounds()))
	}
	times = make([]int64, f.rounds())
	for round := range times {
		t.startScrape(f, round)
		times[round] = t.t
		for i := range values {
			values[i][round] = t.next(f, i)
		}
	}
	return f.Labels(id), times, values
}

// Labels returns the labels of the series of one target of a fleet without churn, in
// the order of their values.
func (f *Fleet) Labels(id int) (series []labels.Labels) {
	b := labels.NewScratchBuilder(LabelsPerSeries)
	for i, m := range f.metrics {
		b.Reset()
		b.Add(model.MetricNameLabel, m.name)
		for _, l := range m.own {
			b.Add(l.name, l.value)
		}
		for j, v := range labelValues(id, f.incarnation(id, 0))[:f.plans[i].n] {
			b.Add(targetLabels[j], v)
		}
		b.Sort()
		series = append(series, b.Labels())
	}
	return series
}
