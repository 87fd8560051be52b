package otlp

import (
	"math/rand/v2"
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/storage"
)

// FuzzDecode checks that random messages neither panic nor decode differently once their
// series are known. What they become is compared in
// TestSeriesAndSamplesAreThoseOfPrometheus.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(12) {
		f.Add(marshal(f, randomMetrics(rand.New(rand.NewPCG(seed, 1)))), false)
	}
	f.Add(gaugeRequest(nil, nil, nil), true)
	f.Fuzz(func(t *testing.T, src []byte, other bool) {
		o := Settings{PromoteScopeMetadata: other, PromoteAllResourceAttributes: other, ConvertHistogramsToNHCB: other}
		if other {
			o.TranslationStrategy = "NoTranslation"
		}
		m := doortest.NewMemory()
		h := New(door.NewShared(door.Options{Backend: doortest.Backend{Store: m}, Seed: 42, Limits: door.Limits{Labels: 8, NameBytes: 64, ValueBytes: 64}}), o)
		q, err := h.door.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		_ = doortest.Twice(t, m, func() (storage.Receipt, error) {
			q.Decoder.src = src
			r, err := q.Store(t.Context())
			if err == nil && q.Decoder.refusedPoints > int(q.Decoder.numPoints) {
				t.Fatalf("%d of %d data points refused", q.Decoder.refusedPoints, q.Decoder.numPoints)
			}
			return r, err
		})
	})
}
