package forms

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/sets"
)

// Row is one scrape of one machine: a value of each of its series.
type Row struct {
	Target int             // number of the machine; the same one has the same series
	Series []labels.Labels // with the name of the metric
	T      int64           // Unix milliseconds
	Values []float64       // as long as Series; valid until the next row of the stream
}

// Stream gives the rows of one sender in order of time, and nil after the last
// one. It is used by one goroutine.
type Stream interface {
	Next() *Row
}

// Data is what is sent: a fleet or a set of hosts.
type Data struct {
	Series  int
	Samples int
	Streams []Stream // one for each sender
}

// Fleet returns the data of a fleet without churn. Its machines have 500 series each.
func Fleet(o fleet.Options) Data {
	f := fleet.New(o)
	d := Data{Series: f.Series(), Samples: f.Samples()}
	for k := range f.Options().Senders {
		d.Streams = append(d.Streams, &scrapes{s: f.Source(k), f: f, series: map[int][]labels.Labels{}})
	}
	return d
}

// scrapes are the rows of a fleet.
type scrapes struct {
	f      *fleet.Fleet
	s      *fleet.Source
	series map[int][]labels.Labels // by target
	row    Row
}

// Next implements Stream.
func (s *scrapes) Next() *Row {
	id, t, values, ok := s.s.Scrape()
	if !ok {
		return nil
	}
	series := s.series[id]
	if series == nil {
		series = s.f.Labels(id)
		s.series[id] = series
	}
	s.row = Row{Target: id, Series: series, T: t, Values: values}
	return &s.row
}

// Hosts returns the data of a set whose groups are sampled at equal times, for a number
// of senders. All of it is in memory.
func Hosts(set sets.Set, senders int) (Data, error) {
	d := Data{}
	streams := make([]*hosts, senders)
	for k := range streams {
		streams[k] = &hosts{}
		d.Streams = append(d.Streams, streams[k])
	}
	for i := range set.Groups {
		series, err := set.Group(i)
		if err != nil {
			return Data{}, err
		}
		h := host{id: i}
		for _, one := range series {
			h.labels = append(h.labels, one.Labels)
			h.values = append(h.values, one.Values)
			h.times = one.Times
			d.Samples += len(one.Values)
		}
		d.Series += len(series)
		s := streams[i%senders]
		s.all = append(s.all, h)
	}
	return d, nil
}

// hosts are the rows of a set.
type hosts struct {
	all    []host
	at     int // the host that comes next
	step   int // of its samples
	values []float64
	row    Row
}

type host struct {
	id     int
	labels []labels.Labels
	times  []int64
	values [][]float64 // by series
}

// Next implements Stream.
func (s *hosts) Next() *Row {
	if s.at == len(s.all) {
		s.at = 0
		s.step++
	}
	if len(s.all) == 0 || s.step == len(s.all[s.at].times) {
		return nil
	}
	h := &s.all[s.at]
	s.at++
	s.values = slices.Grow(s.values[:0], len(h.values))
	for _, vs := range h.values {
		s.values = append(s.values, vs[s.step])
	}
	s.row = Row{Target: h.id, Series: h.labels, T: h.times[s.step], Values: s.values}
	return &s.row
}
