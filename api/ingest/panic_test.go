package ingest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
)

// TestPanicReleasesTheRequest: after a panic the charge of the request is released
// and its decoder, which may be in the middle of a request, is not reused.
func TestPanicReleasesTheRequest(t *testing.T) {
	for name, r := range writes(t) {
		t.Run(name, func(t *testing.T) {
			m := doortest.NewMemory()
			m.OnCommit = func() error { panic("oops") }
			o := memoryOptions()
			o.Budget = reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate})
			backend := &countingBackend{Backend: doortest.Backend{Store: m}}
			mux := http.NewServeMux()
			newIngest(o, backend).Register(mux)
			post := func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				mux.ServeHTTP(httptest.NewRecorder(), r)
			}
			post()
			if o.Budget.Used() != 0 {
				t.Errorf("%d bytes are still charged", o.Budget.Used())
			}
			m.OnCommit = nil
			if a := send(t, mux, writes(t)[name]); a.code != 204 {
				t.Fatal(a)
			}
			if backend.batches != 2 {
				t.Errorf("%d batches for a request after a panic, want 2: the decoder is reused", backend.batches)
			}
		})
	}
}

// countingBackend counts the batches that doors make.
type countingBackend struct {
	doortest.Backend
	batches int
}

func (b *countingBackend) NewBatch(name string, tenant uint32) (door.Store, error) {
	b.batches++
	return b.Backend.NewBatch(name, tenant)
}
