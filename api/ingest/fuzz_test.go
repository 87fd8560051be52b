package ingest

import (
	"net/http"
	"os"
	"testing"

	"tsdb/api/ingest/doortest"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

// FuzzBodies sends bytes to every door over HTTP. Each gets a response, and nothing
// stays charged.
func FuzzBodies(f *testing.F) {
	f.Add([]byte("m v=1"), uint8(0))
	f.Add(doortest.Snap([]byte("\x0a\x00")), uint8(1))
	f.Add(gzipped(f, []byte("m v=1")), uint8(2))
	f.Add([]byte("# TYPE m counter\nm_total{a=\"b\"} 1 1 # {t=\"x\"} 1\nm_created{a=\"b\"} 1\n"), uint8(5))
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		budget := reqbody.NewBudget(reqbody.Options{Limit: reqbody.DefaultLimit, MinRate: reqbody.DefaultMinRate})
		in := newIngest(Options{DB: func() (*storage.DB, error) { return nil, os.ErrClosed }, InfluxDBLabel: "db", Seed: 1, MaxBodyBytes: 1 << 16, Budget: budget},
			doortest.Backend{Store: doortest.NewMemory()})
		mux := http.NewServeMux()
		in.Register(mux)
		var a answer
		switch kind % 9 {
		case 0:
			a = do(t, mux, "POST", "/write?db=x", body)
		case 1:
			a = do(t, mux, "POST", "/api/v1/write", body, "Content-Type", type1)
		case 2:
			a = do(t, mux, "POST", "/api/v2/write?bucket=x", body, "Content-Encoding", "gzip")
		case 3:
			a = do(t, mux, "POST", "/api/v1/push", body, "Content-Type", type2)
		case 4:
			a = do(t, mux, "POST", "/api/v1/import", body)
		case 5:
			a = do(t, mux, "PUT", "/api/v1/import/prometheus?extra_label=a=b", body, "Content-Type", "application/openmetrics-text")
		case 6:
			a = do(t, mux, "POST", "/api/v1/import/prometheus", body, "Content-Encoding", "zstd")
		case 7:
			a = do(t, mux, "POST", "/api/v1/import/csv?format=1:label:a,2:metric:m,3:time:unix_s", body)
		default:
			a = do(t, mux, "POST", "/query", append([]byte("q="), body...), "Content-Type", "application/x-www-form-urlencoded")
		}
		if a.code < 200 || a.code >= 500 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if budget.Used() != 0 {
			t.Fatalf("%d bytes stay charged", budget.Used())
		}
	})
}
