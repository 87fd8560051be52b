package appender

import (
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/storage"
)

// decoder hands the rows of a scrape to the door; a row is a series of one sample.
type decoder struct {
	scrape *appender

	first, next int    // rows of the group
	key         []byte // scratch
}

// Decode implements door.Decoder.
func (d *decoder) Decode(b *door.Batch) error {
	d.first, d.next = 0, 0
	for i := range d.scrape.rows {
		d.key = d.scrape.rows[i].labels.Bytes(d.key[:0])
		b.Queue(door.AliasOf(b.Seed, d.key))
		d.next = i + 1
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	for _, f := range d.scrape.families {
		b.Metadata([]byte(f.name), model.Metadata{
			Type: door.MetricTypeNamed(string(f.meta.Type)), Unit: door.ValidPrefix([]byte(f.meta.Unit)), Help: door.ValidPrefix([]byte(f.meta.Help)),
		})
	}
	return nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.first = d.next }

// Release implements door.Decoder.
func (d *decoder) Release() { d.scrape = nil }

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	r := &d.scrape.rows[d.first+k]
	addLabels(set, r.labels)
	return 1 + int(r.numExs), nil
}

func addLabels(set *door.LabelSet, ls labels.Labels) {
	ls.Range(func(l labels.Label) { set.Add([]byte(l.Name), []byte(l.Value)) })
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		r := &d.scrape.rows[d.first+k]
		if r.hist != 0 {
			b.Offered.Histograms++
		} else {
			b.Offered.Floats++
		}
		b.Offered.Exemplars += int(r.numExs)
		if refs[k] == 0 {
			continue
		}
		if err := d.addSample(b, r, k, refs[k]); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) addSample(b *door.Batch, r *row, k int, ref model.Ref) error {
	if r.newest {
		// A stale marker of a target that has come back must not end its new samples.
		if t, ok := b.Newest(ref); ok && t >= r.t {
			return nil
		}
	}
	if r.hist == 0 {
		b.Float(ref, r.t, r.st, r.v)
	} else {
		h, err := door.ToStored(copyOf(d.scrape.hists[r.hist-1]))
		if err != nil {
			if err := b.RefuseSample(k, storage.ReasonBadHistogram, r.t, err.Error()); err != nil {
				return err
			}
		} else {
			b.Histogram(ref, r.t, r.st, h)
		}
	}
	for _, e := range d.scrape.exemplars[r.exs:][:r.numExs] {
		if err := d.addExemplar(b, e, k, ref); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) addExemplar(b *door.Batch, e exemplar.Exemplar, k int, ref model.Ref) error {
	b.Labels.Reset()
	addLabels(&b.Labels, e.Labels)
	ls, bad := b.Labels.BuildExemplar()
	if bad != nil {
		return b.RefuseSample(k, bad.Reason, e.Ts, bad.Detail)
	}
	b.Exemplar(ref, model.Exemplar{Labels: ls, T: e.Ts, V: e.Value})
	return nil
}

// copyOf returns a copy of a histogram, because the batch owns what it is given, and the
// scrape may have to be stored again.
func copyOf(h model.Histogram) model.Histogram {
	if h.Float != nil {
		return model.Histogram{Float: h.Float.Copy()}
	}
	return model.Histogram{Int: h.Int.Copy()}
}
