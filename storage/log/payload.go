package log

import (
	"encoding/binary"

	"tsdb/internal/model"
)

// PayloadDecoder decodes payloads of every type, to check and to describe them.
// Its zero value is ready for use, by one goroutine at a time.
type PayloadDecoder struct {
	samples    SampleColumns
	histograms HistogramColumns
	exemplars  ExemplarColumns
}

// Decode returns an error if a payload cannot be decoded.
func (d *PayloadDecoder) Decode(f Frame) error {
	switch f.Type {
	case FrameSamples:
		return DecodeSamples(f.Payload, &d.samples)
	case FrameHistograms:
		return DecodeHistograms(f.Payload, &d.histograms)
	case FrameExemplars:
		return DecodeExemplars(f.Payload, &d.exemplars)
	case FrameSeries:
		return DecodeSeries(f.Payload, func(SeriesDef) error { return nil })
	case FrameMetadata:
		return DecodeMetadata(f.Payload, func(string, model.Metadata) error { return nil })
	case FrameTombstone:
		_, err := DecodeTombstone(f.Payload)
		return err
	case FrameDeletion:
		_, _, err := DecodeDeletion(f.Payload)
		return err
	case FrameDeletionEnd:
		_, err := DecodeDeletionEnd(f.Payload)
		return err
	}
	return nil
}

// Describe calls line for each row of a payload, in the order of the payload, which
// is that of arrival.
func (d *PayloadDecoder) Describe(f Frame, line func(format string, args ...any)) error {
	if err := d.Decode(f); err != nil {
		return err
	}
	key := func(k *keys, i int) (slot uint32, t, st int64) {
		if len(k.ST) > 0 {
			st = k.ST[i]
		}
		return k.Slots[i], k.T[i], st
	}
	switch f.Type {
	case FrameSamples:
		for i, v := range d.samples.V {
			slot, t, st := key(&d.samples.keys, i)
			line("slot %d, time %d, start %d: %v", slot, t, st, v)
		}
	case FrameHistograms:
		for i, h := range d.histograms.H {
			slot, t, st := key(&d.histograms.keys, i)
			if h.Int != nil {
				line("slot %d, time %d, start %d: %v", slot, t, st, h.Int)
			} else {
				line("slot %d, time %d, start %d: %v", slot, t, st, h.Float)
			}
		}
	case FrameExemplars:
		for i, e := range d.exemplars.E {
			line("slot %d, time %d: %v %v", d.exemplars.Slots[i], e.T, e.V, e.Labels)
		}
	case FrameSeries:
		return DecodeSeries(f.Payload, func(s SeriesDef) error {
			line("slot %d, identity %v: %v", s.Slot, s.ID, s.Labels)
			return nil
		})
	case FrameMetadata:
		return DecodeMetadata(f.Payload, func(metric string, m model.Metadata) error {
			line("%s: type %q, unit %q, help %q", metric, m.Type, m.Unit, m.Help)
			return nil
		})
	case FrameTombstone:
		t, _ := DecodeTombstone(f.Payload)
		line("%v in [%d, %d)", t.Matchers, t.Range.Min, t.Range.Max)
	case FrameDeletion:
		number, t, _ := DecodeDeletion(f.Payload)
		line("%d: %v in [%d, %d)", number, t.Matchers, t.Range.Min, t.Range.Max)
	case FrameDeletionEnd:
		number, _ := DecodeDeletionEnd(f.Payload)
		line("%d counts", number)
	case FrameStart:
		line("the frame before it has LSN %d", binary.LittleEndian.Uint64(f.Payload))
	case FrameRelease:
		line("generations below %d are no longer needed", binary.LittleEndian.Uint64(f.Payload))
	}
	return nil
}
