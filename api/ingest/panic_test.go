package ingest

import (
	"testing"

	"tsdb/internal/vfs"
	"tsdb/storage"
)

// TestPanicReleasesTheRequest: after a panic the charge of the request is released
// and its decoder, which may be in the middle of a request, is not reused.
func TestPanicReleasesTheRequest(t *testing.T) {
	for name, r := range writes(t) {
		t.Run(name, func(t *testing.T) {
			batches := 0
			in := New(Options{DB: func() (*storage.DB, error) { return nil, storage.ErrBusy }, InfluxDBLabel: "db", Seed: 42, Clock: vfs.NewManualClock(testNow)})
			in.ready = func() error { return nil }
			in.newBatch = func(string) (batch, error) {
				batches++
				m := newMemory()
				m.commit = func() error { panic("oops") }
				return m, nil
			}
			post := func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				if name[0] == 'i' {
					in.InfluxWrite(nil, r)
				} else {
					in.RemoteWrite(nil, r)
				}
			}
			post()
			if in.budget.Used() != 0 {
				t.Errorf("%d bytes are still charged", in.budget.Used())
			}
			if in.writes.Get() != nil || in.influx.Get() != nil {
				t.Error("the decoder is kept for the next request")
			}
		})
	}
}
