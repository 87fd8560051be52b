package remotewrite

import (
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/storage"
)

func addHistogram1(b *door.Batch, m []byte, at, k int, ref model.Ref) error {
	var p prompb.Histogram
	if err := p.Unmarshal(m); err != nil {
		return door.Malformed("Histogram", at)
	}
	b.Offered.Histograms++
	if ref == 0 {
		return nil
	}
	h, err := door.ToHistogram(&p, int32(p.ResetHint))
	if err != nil {
		return b.RefuseSample(k, storage.ReasonBadHistogram, p.Timestamp, err.Error())
	}
	b.Histogram(ref, p.Timestamp, 0, h)
	return nil
}

func addHistogram2(b *door.Batch, m []byte, at, k int, ref model.Ref) error {
	var p writev2.Histogram
	if err := p.Unmarshal(m); err != nil {
		return door.Malformed("Histogram", at)
	}
	b.Offered.Histograms++
	if ref == 0 {
		return nil
	}
	h, err := door.ToHistogram(&p, int32(p.ResetHint))
	if err != nil {
		return b.RefuseSample(k, storage.ReasonBadHistogram, p.Timestamp, err.Error())
	}
	b.Histogram(ref, p.Timestamp, p.StartTimestamp, h)
	return nil
}
