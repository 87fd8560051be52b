package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPrefixesOfInflux(t *testing.T) {
	for sent, want := range map[string]string{
		"/write": "/write", "/influx/write": "/write", "/influxdb/write": "/write", "//influx//write": "/write", "/influx/api/v2/delete": "/api/v2/delete",
		"/influxdb/api/v3/write_lp": "/api/v3/write_lp", "/influx/ping": "/ping", "/influx/query": "/query", "/influx/ready": "/ready",
		"/influx": "/influx", "/influxes/write": "/influxes/write", "/influx/api/v1/write": "/influx/api/v1/write", "/influx/influx/write": "/influx/influx/write",
		"/influx/api/v2/x%2Fy": "/api/v2/x/y", "/influx/api/v1/admin/flush": "/influx/api/v1/admin/flush", "/influx/api/v2/../v1/admin/flush": "/api/v2/../v1/admin/flush",
	} {
		got := ""
		h := collapseSlashes(cutInfluxPrefix(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.Path })))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", sent, nil))
		if got != want {
			t.Errorf("%s is served as %s, want %s", sent, got, want)
		}
	}
}
