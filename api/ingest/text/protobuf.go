package text

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/storage"
)

// messageCost is the memory of a protobuf message once decoded, for each of its bytes.
const messageCost = 12

// isProtobuf reports whether the content type names delimited protobuf messages of
// the type MetricFamily, as client libraries push them.
func isProtobuf(r *http.Request) bool {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/vnd.google.protobuf" &&
		(params["proto"] == "" || params["proto"] == "io.prometheus.client.MetricFamily") && (params["encoding"] == "" || params["encoding"] == "delimited")
}

// messages decodes protobuf messages with Prometheus' parser. They are few and small:
// what is stored of them is collected first.
type messages struct {
	src    []byte
	now    int64
	record *Record

	group   []message
	scratch []byte
}

// message is a sample of a message.
type message struct {
	labels    labels.Labels
	t, st     int64
	v         float64
	h         model.Histogram // zero = v
	exemplars []model.Exemplar
}

// Release implements door.Decoder.
func (d *messages) Release() { *d = messages{scratch: d.scratch[:0]} }

// NextGroup implements door.Decoder.
func (d *messages) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. What cannot be decoded refuses the request.
func (d *messages) Decode(b *door.Batch) error {
	d.NextGroup()
	d.record.begin()
	in := textparse.NewProtobufParser(d.src, false, false, false, false, labels.NewSymbolTable())
	var f family
	describe := func() {
		if f.undescribed {
			b.Metadata(f.name, door.NewMetadata(uint64(f.kind), f.unit, f.help))
		}
		f.undescribed = false
	}
	for {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			describe()
			return nil
		}
		if err != nil {
			return &door.RequestError{Text: "decode MetricFamily: " + door.Clip(err.Error(), door.MaxExcerptBytes), Err: err}
		}
		switch entry {
		case textparse.EntryHelp:
			describe()
			name, help := in.Help()
			f = family{name: append([]byte(nil), name...), help: append([]byte(nil), help...), undescribed: true}
		case textparse.EntryType:
			_, kind := in.Type()
			f.kind, _ = parseType([]byte(kind))
		case textparse.EntryUnit:
			_, unit := in.Unit()
			f.unit = append([]byte(nil), unit...)
		case textparse.EntrySeries, textparse.EntryHistogram:
			if err := b.FlushIfFull(); err != nil {
				return err
			}
			d.add(b, in, entry)
		}
	}
}

// add queues the sample of an entry.
func (d *messages) add(b *door.Batch, in textparse.Parser, entry textparse.Entry) {
	m := message{t: d.now, st: in.StartTimestamp()}
	var at *int64
	if entry == textparse.EntrySeries {
		_, at, m.v = in.Series()
	} else {
		_, at, m.h.Int, m.h.Float = in.Histogram()
	}
	if at != nil {
		m.t = *at
	}
	in.Labels(&m.labels)
	m.labels = m.labels.Copy()
	for e := (exemplar.Exemplar{}); in.Exemplar(&e); e = (exemplar.Exemplar{}) {
		if !e.HasTs {
			e.Ts = m.t
		}
		m.exemplars = append(m.exemplars, model.Exemplar{T: e.Ts, V: e.Value, Labels: e.Labels.Copy()})
	}
	d.group = append(d.group, m)
	d.scratch = model.AppendLabels(d.scratch[:0], m.labels)
	alias := door.AliasOf(b.Seed, d.scratch)
	d.record.add(alias, []byte(m.labels.Get("__name__")))
	b.Queue(alias)
}

// Labels implements door.Decoder.
func (d *messages) Labels(k int, set *door.LabelSet) (samples int, err error) {
	m := &d.group[k]
	m.labels.Range(func(l labels.Label) { set.Add([]byte(l.Name), []byte(l.Value)) })
	return 1 + len(m.exemplars), nil
}

// AddSamples implements door.Decoder.
func (d *messages) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		m := &d.group[k]
		b.Offered.Exemplars += len(m.exemplars)
		if m.h.IsZero() {
			b.Offered.Floats++
		} else {
			b.Offered.Histograms++
		}
		if refs[k] == 0 {
			continue
		}
		switch {
		case m.h.IsZero():
			b.Float(refs[k], m.t, m.st, m.v)
		default:
			if err := m.h.Validate(); err != nil {
				if err := b.RefuseSample(k, storage.ReasonBadHistogram, m.t, err.Error()); err != nil {
					return err
				}
				continue
			}
			b.Histogram(refs[k], m.t, m.st, m.h)
		}
		if err := addExemplars(b, k, refs[k], m.exemplars); err != nil {
			return err
		}
	}
	return nil
}

func addExemplars(b *door.Batch, k int, ref model.Ref, all []model.Exemplar) error {
	for _, e := range all {
		b.Labels.Reset()
		e.Labels.Range(func(l labels.Label) { b.Labels.Add([]byte(l.Name), []byte(l.Value)) })
		ls, bad := b.Labels.BuildExemplar()
		if bad != nil {
			if err := b.RefuseSample(k, bad.Reason, e.T, bad.Detail); err != nil {
				return err
			}
			continue
		}
		e.Labels = ls
		b.Exemplar(ref, e)
	}
	return nil
}

// storeMessages stores a body of protobuf messages.
func (h *Handler) storeMessages(ctx context.Context, w http.ResponseWriter, r *http.Request, p Push, o *door.Outcome) error {
	received, err := h.shared.Budget.Read(w, r, h.shared.Limit)
	if err != nil {
		return err
	}
	defer received.Release()
	q, err := h.messages.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	src, err := q.Body.Bytes(ctx, received)
	if err == nil {
		switch encoding := r.Header.Get("Content-Encoding"); encoding {
		case "", "identity":
		case "gzip":
			src, err = q.Body.Gunzip(ctx, src, h.shared.Limit, received.Charge())
		default:
			err = &door.RequestError{Text: fmt.Sprintf("unsupported content encoding %q, use gzip or none", door.Clip(encoding, 40))}
		}
	}
	if err == nil {
		err = received.Charge().Take(ctx, int64(len(src))*messageCost)
	}
	if err != nil {
		return err
	}
	q.AddLabels(p.Labels)
	q.Decoder.src, q.Decoder.now, q.Decoder.record = src, p.Now, p.Record
	receipt, err := q.Store(ctx)
	if err != nil {
		return err
	}
	o.Add(receipt)
	return nil
}
