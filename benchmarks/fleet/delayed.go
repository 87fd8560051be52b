package fleet

import "tsdb/benchmarks/remote"

// delayed produces the requests of a sender that was delayed: several scrapes of a
// target in each, in order of time from request to request of a target. It holds the
// samples of one request, however long the fleet's span is.
type delayed struct {
	f       *Fleet
	targets []target
	at      int // index of the target that comes next
	round   int // its next one
	times   []int64
	values  [][]float64 // by series
}

// delayed returns the source of sender k, 0 ≤ k < Options.Senders.
func (f *Fleet) delayed(k int) *delayed {
	if f.o.Churn != 0 {
		panic("BUG: several scrapes in a request, and churn")
	}
	d := &delayed{f: f, values: make([][]float64, len(f.metrics))}
	for id := k; id < f.o.Targets; id += f.o.Senders {
		d.targets = append(d.targets, f.target(id))
	}
	return d
}

// AppendRequest implements remote.Source. It gives no errors.
func (d *delayed) AppendRequest(dst []byte) ([]byte, int, error) {
	rounds := min(d.f.o.Scrapes, d.f.rounds()-d.round)
	if rounds <= 0 || len(d.targets) == 0 {
		return dst, 0, nil
	}
	t := &d.targets[d.at]
	d.times = d.times[:0]
	for i := range d.values {
		d.values[i] = d.values[i][:0]
	}
	for round := d.round; round < d.round+rounds; round++ {
		t.startScrape(d.f, round)
		d.times = append(d.times, t.t)
		for i := range d.values {
			d.values[i] = append(d.values[i], t.next(d.f, i))
		}
	}
	for i, values := range d.values {
		dst = d.f.appendLabels(dst, t, i, rounds)
		for j, v := range values {
			dst = remote.AppendSample(dst, d.times[j], v)
		}
	}
	if d.at++; d.at == len(d.targets) {
		d.at = 0
		d.round += rounds
	}
	return dst, rounds * len(d.values), nil
}
